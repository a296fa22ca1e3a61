"""Turns for processes that change the same folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(folder: str | Path) -> Iterator[None]:
    """Keeps other processes that ask for the same folder waiting.

    Args:
        folder: an existing folder. Nothing is written into it, and the lock
            ends with the process that holds it.

    Example:
        >>> with alone("saved_models"): ...
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
