"""The files that a command line names."""

import io

import pytest

from dfk.errors import UserError
from dfk.prediction.paths import image_paths


@pytest.fixture
def album(tmp_path):
    for name in ("a.jpg", "b/c.png", "b/d/e.webp", "notes.txt", ".hidden.jpg"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "album"


def test_a_folder_stands_for_all_pictures_below_it(album, capsys):
    names = ["a.jpg", "b/c.png", "b/d/e.webp"]
    expected = [str(album / name) for name in names]
    assert image_paths([str(album)]) == expected
    assert "notes.txt" in capsys.readouterr().err
    # A pattern that the shell left to the command; and no picture twice.
    found = image_paths([str(album / "b*"), str(album / "b" / "c.png")])
    assert found == expected[1:]
    deep = image_paths([str(album / "**" / "*.webp")])
    assert deep == expected[-1:]


def test_paths_come_on_standard_input(album, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("x y.jpg\n\n  b.jpg\n"))
    assert image_paths(["-", "c.jpg"]) == ["x y.jpg", "b.jpg", "c.jpg"]


def test_a_file_with_signs_of_a_pattern_is_that_file(album):
    odd = album / "face[1].jpg"
    odd.write_bytes(b"x")
    assert image_paths([str(odd)]) == [str(odd)]
    # It is for the prediction to say that it is not there.
    assert image_paths(["gone.jpg"]) == ["gone.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No picture was named"),
        (["empty"], "empty"),
        (["*.tif"], "matches"),
    ],
)
def test_nothing_at_all_is_an_error(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        image_paths(arguments)
