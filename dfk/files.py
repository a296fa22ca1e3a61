"""Files on disk: written whole or not at all, and locked."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dfk.errors import UserError

LOCK = ".lock"
# File systems allow 255 bytes, and names get endings.
_LONGEST_NAME = 160

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


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
