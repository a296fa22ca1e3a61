"""Files on disk: names and locks."""

import pytest

from dfk import files
from dfk.errors import UserError


def test_an_unknown_home_is_a_sentence():
    with pytest.raises(UserError, match="~nobody-at-all/x begins with"):
        files.expanded("~nobody-at-all/x")


def test_without_a_place_for_temporary_files_the_variable_is_named(monkeypatch):
    def nowhere():
        raise FileNotFoundError

    monkeypatch.setattr(files.tempfile, "gettempdir", nowhere)
    with pytest.raises(UserError, match="set TMPDIR"):
        files.scratch_dir()


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
