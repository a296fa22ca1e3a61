"""What is computed or downloaded once, and then kept on disk."""

import contextlib
import fcntl
import math
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dfk.errors import UserError
from dfk.files import expanded, replacing

if TYPE_CHECKING:
    import numpy as np

# The array in a cached file that has the names of all others.
_NAMES = "array_names"
# What reading a damaged file of arrays may raise.
_DAMAGED = (
    *(OSError, EOFError, KeyError, ValueError, RuntimeError),
    zipfile.BadZipFile,
)
# The cached files that this process has used, by path.
_in_use: dict[Path, BinaryIO] = {}


def cache_dir() -> Path:
    """Where downloads and features are kept: `$DFK_CACHE`, or ~/.cache/dfk."""
    return expanded(os.environ.get("DFK_CACHE") or "~/.cache/dfk")


def writable_cache_dir() -> Path:
    """The cache, which is made if need be.

    Raises:
        UserError: it cannot be written.
    """
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise UserError(
            f"The cache {folder} cannot be written ({error.strerror}): set "
            "DFK_CACHE to a folder that can."
        ) from error


def cached_arrays(
    kind: str, key: str, compute: "Callable[[], dict[str, np.ndarray]]"
) -> "dict[str, np.ndarray]":
    """Computes arrays once, and afterwards reads them from disk.

    A file that is damaged counts as absent. Where none can be written, the
    arrays are used once, and a line on standard error says so. What was used
    longest ago makes room for what is new, unless a process that still runs
    has used it.

    Args:
        kind: what they are; the name of their folder in the cache.
        key: a digest of all that they depend on. When any of that changes so
            does the key, so that no file is ever stale.
        compute: gives the arrays by name; called if they are not on disk.

    Returns:
        The arrays by name.

    Raises:
        UserError: `DFK_CACHE_GB` is no number.

    Example:
        >>> cached_arrays("faces", split.version, lambda: find(split))
    """
    import numpy as np

    limit = _cache_limit()
    path = cache_dir() / kind / f"{key}.npz"
    with contextlib.suppress(*_DAMAGED):
        return _read_arrays(path)
    arrays = compute()
    try:
        with replacing(path) as partial:
            np.savez(partial, **arrays, **{_NAMES: sorted(arrays)})
        _hold(path)
        _make_room(limit)
    except OSError as error:
        print(
            f"{path.parent} could not keep what was computed "
            f"({error.strerror}): make room there, or set DFK_CACHE to "
            "another folder.",
            file=sys.stderr,
        )
    return arrays


def _cache_limit() -> float:
    """How many bytes of arrays the cache keeps: `$DFK_CACHE_GB`, or 20 GB."""
    text = os.environ.get("DFK_CACHE_GB") or "20"
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise UserError(
            "DFK_CACHE_GB is how many gigabytes the cache keeps: set it to a "
            f"number, 0 or more. Received: {text}."
        )
    return 1e9 * limit


def _read_arrays(path: Path) -> "dict[str, np.ndarray]":
    import numpy as np

    # A flipped bit breaks the checksum of its array, or hides an array.
    with np.load(_hold(path)) as stored:
        arrays = dict(stored)
    if arrays.pop(_NAMES).tolist() != sorted(arrays):
        raise ValueError(f"{path} lacks arrays.")
    # Others may share a cache that this user only reads.
    with contextlib.suppress(OSError):
        os.utime(path)
    return arrays


def _hold(path: Path) -> BinaryIO:
    """Opens a file, which is then not evicted while this process runs."""
    file = path.open("rb")
    # Not every file system can lock.
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
    _in_use[path] = file
    return file


def _make_room(limit: float) -> None:
    """Evicts the arrays that were used longest ago, beyond the limit."""
    states = {}
    for path in cache_dir().glob("*/*.npz"):
        with contextlib.suppress(FileNotFoundError):
            states[path] = path.stat()
    excess = sum(state.st_size for state in states.values()) - limit
    for path in sorted(states, key=lambda path: states[path].st_mtime):
        if excess <= 0:
            return
        if _evicted(path):
            excess -= states[path].st_size


def _evicted(path: Path) -> bool:
    """Removes a cached file, unless a process holds it."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True
