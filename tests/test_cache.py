"""What is kept in the cache, and what makes room."""

import os

import numpy as np
import pytest

from dfk import cache as store
from dfk.errors import UserError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "numbers"


def numbers(key, value=0):
    """Reads or computes an array, and says which."""
    computed = []

    def compute():
        computed.append(key)
        return {"x": np.full(1, value)}

    found = store.cached_arrays("numbers", key, compute)
    return found["x"][0], bool(computed)


def test_arrays_are_computed_once(cache):
    assert numbers("a", 1) == (1, True)
    assert numbers("a", 2) == (1, False)


def _without_an_array(content):
    return content.replace(b"x.npy", b"y.npy")


def _with_a_flipped_bit(content):
    # In the data of the first array, behind its header of 128 bytes.
    place = content.index(b"NUMPY") + 128
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"text",
        lambda content: content[:-30],
        _without_an_array,
        _with_a_flipped_bit,
    ],
)
def test_a_damaged_file_is_made_again(cache, damage):
    numbers("a", 1)
    file = cache / "a.npz"
    file.write_bytes(damage(file.read_bytes()))
    assert numbers("a", 2) == (2, True)
    assert numbers("a", 3) == (2, False)


def test_what_cannot_be_kept_is_used_once(cache, capsys):
    cache.parent.write_text("no folder")
    assert numbers("a", 1) == (1, True)
    assert f"{cache} could not keep" in capsys.readouterr().err


def _made_earlier(cache, key, seconds):
    """An array that a process made and used last so long ago."""
    numbers(key)
    path = cache / f"{key}.npz"
    when = path.stat().st_mtime - seconds
    os.utime(path, (when, when))
    return path


def _kept(cache):
    return sorted(path.stem for path in cache.iterdir())


def _make_room_for(count, path, monkeypatch):
    limit = (count + 0.5) * path.stat().st_size / 1e9
    monkeypatch.setenv("DFK_CACHE_GB", str(limit))


def test_the_oldest_that_no_process_uses_make_room(cache, monkeypatch):
    _made_earlier(cache, "a", 30)
    ended = [_made_earlier(cache, "b", 20), _made_earlier(cache, "c", 10)]
    for path in ended:
        store._in_use.pop(path).close()
    _make_room_for(3, ended[0], monkeypatch)
    numbers("d")
    # a is the oldest, but this process has used it; c need not go as well.
    assert _kept(cache) == ["a", "c", "d"]


def test_what_was_read_last_stays_longest(cache, monkeypatch):
    ended = [_made_earlier(cache, "a", 30), _made_earlier(cache, "b", 20)]
    numbers("a")
    for path in ended:
        store._in_use.pop(path).close()
    _make_room_for(2, ended[0], monkeypatch)
    numbers("c")
    assert _kept(cache) == ["a", "c"]


def test_a_cache_that_cannot_be_written_is_still_read(cache, monkeypatch):
    numbers("a", 1)

    def refused(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "utime", refused)
    assert numbers("a", 2) == (1, False)


@pytest.mark.parametrize("limit", ["much", "-1", "nan"])
def test_a_limit_that_is_none_is_refused_at_once(cache, monkeypatch, limit):
    monkeypatch.setenv("DFK_CACHE_GB", limit)
    with pytest.raises(UserError, match=f"DFK_CACHE_GB.*{limit}"):
        numbers("a")


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("DFK_CACHE", "")
    assert store.cache_dir().name == "dfk"


def test_a_cache_that_cannot_be_written_is_named(cache):
    cache.parent.write_text("no folder")
    with pytest.raises(UserError, match=f"{cache.parent} .*set DFK_CACHE"):
        store.writable_cache_dir()
