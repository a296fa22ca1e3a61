"""Files on disk: written whole or not at all, locked, and cached."""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dfk.errors import UserError

if TYPE_CHECKING:
    import numpy as np

LOCK = ".lock"
# File systems allow 255 bytes, and names get endings.
_LONGEST_NAME = 160
# The array in a cached file that has the names of all others.
_NAMES = "array_names"
# What reading a damaged file of arrays may raise.
_DAMAGED = (
    *(OSError, EOFError, KeyError, ValueError, RuntimeError),
    zipfile.BadZipFile,
)
# The cached files that this process has used, by path.
_in_use: dict[Path, BinaryIO] = {}

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def no_room(error: Exception) -> OSError | None:
    """A library's own error of a full disk or quota as one of Python's.

    Args:
        error: of TensorFlow, HDF5, Arrow or Python.

    Returns:
        An error with the path as its `filename`, if the library names one;
        None for an error of another kind.

    Example:
        >>> no_room(tf.errors.ResourceExhaustedError(..., "/tmp/x; No space"))
        OSError(28, 'No space left on device')
    """
    for number in NO_ROOM:
        reason = os.strerror(number)
        before, found, _ = str(error).partition(reason)
        if found:
            # As TensorFlow has it, after the name of the operation.
            path = re.fullmatch(r"(?:.*}} )?(.+); ", before, re.DOTALL)
            return OSError(number, reason, path and path[1])
    return None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says which path there was no room for, whatever library writes it.

    Python leaves the path out when a disk is full. Libraries raise errors of
    their own, with the names of temporary files or without any.

    Args:
        path: the file or the folder that the block writes.

    Raises:
        OSError: the disk or the quota is full; `filename` is `path`.

    Example:
        >>> with writing(Path("saved_models")):
        ...     tf.saved_model.save(module, "saved_models/facenet/1")
    """
    try:
        yield
    except Exception as error:
        full = no_room(error)
        if full is None:
            raise
        raise OSError(full.errno, full.strerror, str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path, keys: Sequence[str], remedy: str) -> dict[str, Any]:
    """Reads a JSON file that `write_json` wrote.

    Args:
        path: the file, which exists.
        keys: what the content has at least.
        remedy: what to do about a damaged file, as the end of a sentence.

    Raises:
        UserError: it is damaged: empty, cut off, or something else.

    Example:
        >>> read_json(path, ["seeds"], "delete it")["seeds"]
        [0, 1]
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        is_whole = isinstance(content, dict) and content.keys() >= set(keys)
    except ValueError:
        is_whole = False
    if not is_whole:
        what = "damaged" if path.stat().st_size else "empty"
        raise UserError(f"{path} is {what}: {remedy}.")
    return content


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lets a file be written beside its place, then renames it into it.

    Whoever reads `path` sees the old file or the new one. If the block fails,
    the old one stays and nothing else is left behind. Missing folders are
    made.

    Args:
        path: the file to be replaced, which need not exist.

    Raises:
        OSError: it cannot be written; `filename` says which.

    Yields:
        Where to write, with the same suffix; it does not exist yet.

    Example:
        >>> with replacing(Path("model.keras")) as partial:
        ...     model.save(partial)
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # In a folder of its own, since others may write the same file.
        with tempfile.TemporaryDirectory(
            prefix=f".{path.name}-", dir=path.parent
        ) as scratch:
            partial = Path(scratch, path.name)
            yield partial
            # Some file systems say only now that there is no room.
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)


@contextlib.contextmanager
def exclusive_lock(folder: str | Path, wait: bool = True) -> Iterator[None]:
    """Keeps out other processes that lock the same folder.

    What is locked is a file in it, `.lock`, which stays there: NFS, which the
    workers of a training may share, refuses to lock what is open for reading
    only. The lock ends with the process that holds it.

    Args:
        folder: an existing folder.
        wait: whether to wait until another process has released it.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.

    Example:
        >>> with exclusive_lock("saved_models"): ...
    """
    with Path(folder, LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def is_locked(folder: str | Path) -> bool:
    """Whether another process holds the lock of an existing folder."""
    if not Path(folder, LOCK).is_file():
        return False
    try:
        with exclusive_lock(folder, wait=False):
            return False
    except BlockingIOError:
        return True


def file_name(name: str) -> str:
    """A name without characters that do not fit a file's, and not too long.

    Args:
        name: such as the name of a data set.

    Example:
        >>> file_name("real_fake_faces/sample")
        'real_fake_faces-sample'
    """
    plain = re.sub(r"[^\w.-]+", "-", name)
    if len(plain.encode()) <= _LONGEST_NAME:
        return plain
    digest = hashlib.sha256(plain.encode()).hexdigest()[:12]
    return f"{plain[: _LONGEST_NAME // 8]}-{digest}"


def expanded(path: str | Path) -> Path:
    """A path whose `~` or `~user` is replaced by that home directory.

    Raises:
        UserError: there is no such user, or no home.

    Example:
        >>> expanded("~/faces")
        PosixPath('/home/me/faces')
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{path} begins with a home directory that is not known: write "
            "the whole path."
        ) from error


def scratch_dir() -> str:
    """Where temporary files go: `$TMPDIR`, or /tmp.

    Raises:
        UserError: nowhere, as where all is read-only.
    """
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UserError(
            "There is no folder for temporary files: set TMPDIR to one that "
            "can be written."
        ) from error


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
