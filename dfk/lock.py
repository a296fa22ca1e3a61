"""Turns for processes that change the same folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(folder: str | Path, wait: bool = True) -> Iterator[None]:
    """Keeps other processes that ask for the same folder out.

    Args:
        folder: an existing folder. Nothing is written into it, and the lock
            ends with the process that holds it.
        wait: for another process to be done, if it takes seconds.

    Raises:
        BlockingIOError: another process is at it, and `wait` is false.

    Example:
        >>> with alone("saved_models"): ...
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def is_taken(folder: str | Path) -> bool:
    """Whether another process is at work in an existing folder."""
    try:
        with alone(folder, wait=False):
            return False
    except BlockingIOError:
        return True
