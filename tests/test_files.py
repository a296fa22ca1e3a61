"""Files on disk: names, locks and the cache."""

import os

import numpy as np
import pytest

from dfk import files
from dfk.errors import UserError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "numbers"


def numbers(key, value=0, size=1):
    """Reads or computes an array, and says which."""
    computed = []

    def compute():
        computed.append(key)
        return {"x": np.full(size, value)}

    found = files.cached_arrays("numbers", key, compute)
    return found["x"][0], bool(computed)


def test_arrays_are_computed_once(cache):
    assert numbers("a", 1) == (1, True)
    assert numbers("a", 2) == (1, False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
def test_a_damaged_file_is_made_again(cache, content):
    numbers("a", 1)
    (cache / "a.npz").write_bytes(content)
    assert numbers("a", 2) == (2, True)
    assert numbers("a", 3) == (2, False)


def test_what_cannot_be_kept_is_used_once(cache, capsys):
    cache.parent.write_text("no folder")
    assert numbers("a", 1) == (1, True)
    assert f"{cache} could not keep" in capsys.readouterr().err


def test_the_oldest_make_room(cache, monkeypatch):
    monkeypatch.setenv("DFK_CACHE_GB", "2.5e-5")
    for age, key in ((30, "a"), (20, "b")):
        numbers(key, size=1000)
        when = cache.stat().st_mtime - age
        os.utime(cache / f"{key}.npz", (when, when))
    numbers("a")
    numbers("c", size=1000)
    numbers("d", size=1000)
    assert sorted(path.stem for path in cache.iterdir()) == ["a", "c", "d"]


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("DFK_CACHE", "")
    assert files.cache_dir().name == "dfk"


def test_a_user_without_a_home_is_told_the_variable(monkeypatch):
    def unknown(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("DFK_CACHE", "~/x")
    monkeypatch.setattr(files.Path, "expanduser", unknown)
    with pytest.raises(UserError, match="set DFK_CACHE"):
        files.cache_dir()


def test_long_names_are_shortened_but_not_the_same():
    names = [files.file_name("x" * 300 + end) for end in ("a", "b")]
    assert max(map(len, names)) < 100
    assert names[0] != names[1]
    assert files.file_name("a/b c") == "a-b-c"


def test_a_lock_is_held_by_one(tmp_path):
    assert not files.is_locked(tmp_path)
    with files.exclusive_lock(tmp_path):
        assert files.is_locked(tmp_path)
        with (
            pytest.raises(BlockingIOError),
            files.exclusive_lock(tmp_path, wait=False),
        ):
            pass
    assert not files.is_locked(tmp_path)
