"""The rules by which folders are listed, and what becomes of broken files."""

import os

import pytest
import tensorflow as tf
from PIL import Image

from dfk import data
from dfk.data.folder_faces import face_split, what_is_wrong
from dfk.data.folders import ImageFolder
from dfk.errors import UserError


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20)).save(path)


def draw_a_png(path):
    with path.open("wb") as file:
        Image.new("RGB", (20, 20)).save(file, "PNG")


def draw_a_locked_one(path):
    draw(path)
    path.chmod(0)


def truncated(path):
    draw(path)
    path.write_bytes(path.read_bytes()[:60])


READ, IGNORED = "read", "ignored"
NO_PICTURE = "is not a picture that can be decoded"
GIF = "is a GIF, whose 256 colours hide what tells fakes: pass a JPEG, PNG, "
GIF += "WebP or BMP"
GONE = "cannot be read (No such file or directory)"
# The superuser may read everything.
LOCKED = "cannot be read (Permission denied)" if os.geteuid() else READ

# What may lie in a folder of images, how it comes about, and whether it is
# read, ignored, or listed and then broken.
RULES = {
    "a.JPG": (draw, READ),
    "b.jpeg": (draw, READ),
    "c.webp": (draw, READ),
    "d.bmp": (draw, READ),
    "e.gif": (draw, GIF),
    "f.jfif": (draw, READ),
    "g.jpe": (draw, READ),
    "no suffix": (draw_a_png, READ),
    "another.suffix": (draw_a_png, READ),
    "below/the/folder.png": (draw, READ),
    "misnamed.jpg": (draw_a_png, READ),
    "link.png": (lambda path: path.symlink_to("a.JPG"), READ),
    "notes.txt": (lambda path: path.write_text("hello"), IGNORED),
    "table.csv": (lambda path: path.write_text("BMI,age\n22,30\n"), IGNORED),
    "a.tiff": (draw, NO_PICTURE),
    "pipe.png": (os.mkfifo, IGNORED),
    ".hidden.jpg": (draw, IGNORED),
    "truncated.png": (truncated, NO_PICTURE),
    "text.png": (lambda path: path.write_text("hello"), NO_PICTURE),
    "dangling.png": (lambda path: path.symlink_to("nowhere"), GONE),
    "locked.png": (draw_a_locked_one, LOCKED),
}
LISTED = sorted(name for name, rule in RULES.items() if rule[1] != IGNORED)
BROKEN = [name for name in LISTED if RULES[name][1] != READ]


@pytest.fixture
def everything(tmp_path):
    """The root of a data set of which `test/fake` has all that is in RULES."""
    (tmp_path / "test" / "fake").mkdir(parents=True)
    for name, (make, _) in RULES.items():
        make(tmp_path / "test" / "fake" / name)
    return tmp_path


def names(files):
    return [file.id.removeprefix("test/fake/") for file in files]


def test_images_are_listed_by_the_rules(everything):
    listed = ImageFolder(everything)
    assert names(listed.splits()["test"]) == LISTED
    assert names(listed.tree()) == LISTED


def test_broken_files_are_skipped_and_told_apart(everything):
    files = ImageFolder(everything).splits()["test"]
    split = face_split("test", files, 8, on_broken="skip")
    rows = list(split.examples.as_numpy_iterator())
    read = [row["id"].decode() for row in rows]
    assert read == [
        f"test/fake/{name}" for name in LISTED if name not in BROKEN
    ]
    assert {row["label"] for row in rows} == {1}
    broken = [file for file in files if file.id not in read]
    reasons = {file.path.name: what_is_wrong(file.path) for file in broken}
    assert reasons == {name: RULES[name][1] for name in BROKEN}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_file_is_named_when_it_is_strict(everything, broken):
    files = [
        file
        for file in ImageFolder(everything).splits()["test"]
        if file.path.name in ("a.JPG", broken, "misnamed.jpg")
    ]
    examples = face_split("test", files, 8, on_broken="strict").examples
    path = everything / "test" / "fake" / broken
    with pytest.raises(UserError) as raised, data.unreadable_files():
        list(examples)
    assert str(raised.value).startswith(f"{path} {RULES[broken][1]}: ")


def test_the_last_file_may_be_the_broken_one(tmp_path):
    draw(tmp_path / "real" / "a.png")
    (tmp_path / "real" / "b.png").write_text("hello")
    split = face_split("all", ImageFolder(tmp_path).tree(), 8, "strict")
    with pytest.raises(UserError, match=r"b\.png"), data.unreadable_files():
        list(split.examples)


def test_other_failures_of_a_pipeline_stay_what_they_are():
    with (
        pytest.raises(tf.errors.InvalidArgumentError),
        data.unreadable_files(),
    ):
        tf.io.decode_image(b"no picture")


def test_a_name_that_is_not_in_utf_8_is_shown(tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b"/\xe9")
    draw(tmp_path / os.fsdecode(b"\xe9") / "a.png")
    with pytest.raises(UserError, match=r"udce9/a\.png' is not in UTF-8: ren"):
        ImageFolder(tmp_path).tree()


def test_a_file_that_became_unreadable_makes_the_split_another(
    tmp_path, monkeypatch
):
    draw(tmp_path / "a.png")
    files = ImageFolder(tmp_path).tree()

    def version(on_broken="skip"):
        return face_split("all", files, 8, on_broken).version

    before = version()
    assert version() == before
    assert version("strict") != before
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert version() != before


def test_a_tree_tells_labels_splits_and_groups(tmp_path):
    places = (
        *("top.png", "ann/a.png", "album/ann/b.png"),
        *("train/real/c.png", "valid/fake/d.png", "train/ann/e.png"),
    )
    for place in places:
        draw(tmp_path / place)
    (tmp_path / "groups.csv").write_text("path,group\ntrain/real/c.png,7\n")
    found = ImageFolder(tmp_path).tree()
    assert [(f.id, f.label, f.group, f.split) for f in found] == [
        ("album/ann/b.png", "", "ann", ""),
        ("ann/a.png", "", "ann", ""),
        ("top.png", "", "", ""),
        ("train/ann/e.png", "", "ann", "train"),
        ("train/real/c.png", "real", "7", "train"),
        ("valid/fake/d.png", "fake", "", "validation"),
    ]


def test_hidden_and_left_out_folders_are_ignored(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / ".thumbs" / "below" / "a.png")
    draw(tmp_path / "embeddings" / "clusters" / "map.png")
    found = ImageFolder(tmp_path).tree(leave_out=tmp_path / "embeddings")
    assert [file.id for file in found] == ["a.png"]


def test_a_split_lists_real_before_fake_images(tmp_path):
    for place in ("fake/a.png", "Real/b.png", "Real/below/c.png", "d.png"):
        draw(tmp_path / "real_vs_fake/real-vs-fake/Validation" / place)
    splits = ImageFolder(tmp_path).splits()
    assert [file.id for file in splits["validation"]] == [
        "Validation/Real/b.png",
        "Validation/Real/below/c.png",
        "Validation/fake/a.png",
    ]
    assert list(splits) == ["validation"]


def test_what_is_left_out_is_counted_and_named(everything, capsys):
    draw(everything / "holdout" / "real" / "a.png")
    draw(everything / "test" / "cat.png")
    ImageFolder(everything).say_left_out()
    assert capsys.readouterr().err.splitlines() == [
        f"{everything}: left out 3 files without a picture "
        "(test/fake/notes.txt, test/fake/pipe.png, test/fake/table.csv).",
        f"{everything}: left out 2 files in no folder "
        "{train,valid,test}/{real,fake} (holdout/real/a.png, test/cat.png).",
    ]


def test_only_the_folders_at_their_place_are_classes(tmp_path, capsys):
    for place in ("test/real/a.png", "old/test/real/b.png", "fake/c.png"):
        draw(tmp_path / place)
    listed = ImageFolder(tmp_path)
    assert names(listed.classes("test")["real"]) == ["test/real/a.png"]
    listed.say_left_out()
    assert "2 files in no folder" in capsys.readouterr().err


def test_classes_without_splits_say_what_lies_beside_them(tmp_path, capsys):
    for place in ("real/a.png", "other/b.png", "other/real/c.png", "d.png"):
        draw(tmp_path / place)
    listed = ImageFolder(tmp_path)
    assert {k: names(v) for k, v in listed.classes("").items()} == {
        "real": ["real/a.png"]
    }
    listed.say_left_out()
    assert (
        "left out 3 files in no folder {real,fake}" in capsys.readouterr().err
    )


def test_what_lies_beside_an_archive_is_said(tmp_path, capsys):
    draw(tmp_path / "real-vs-fake" / "test" / "real" / "a.png")
    draw(tmp_path / "b.png")
    listed = ImageFolder(tmp_path)
    listed.say_left_out()
    assert "left out 1 file in no folder" in capsys.readouterr().err
    assert names(listed.tree()) == ["../b.png", "test/real/a.png"]


@pytest.mark.parametrize(
    ("place", "make"),
    [
        ("valid", lambda path: path.mkdir()),
        ("valid", lambda path: path.symlink_to("nowhere")),
        ("valid/fake", lambda path: path.mkdir(parents=True)),
        ("test/fake", lambda path: path.mkdir()),
        ("test/fake", lambda path: path.symlink_to("nowhere")),
        ("test/fake", lambda path: path.write_text("hello")),
    ],
)
def test_a_folder_that_is_there_must_yield_something(tmp_path, place, make):
    draw(tmp_path / "test" / "real" / "a.png")
    make(tmp_path / place)
    with pytest.raises(UserError, match=f"^{tmp_path / place} holds n"):
        ImageFolder(tmp_path).splits()


def test_a_class_that_is_not_there_yields_nothing(tmp_path):
    draw(tmp_path / "train" / "real" / "a.png")
    listed = ImageFolder(tmp_path)
    assert {k: names(v) for k, v in listed.classes("train").items()} == {
        "real": ["train/real/a.png"]
    }
    assert listed.classes("test") == {}


def test_folders_that_lead_into_each_other_are_read_once(tmp_path):
    draw(tmp_path / "real" / "a.png")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    assert [file.id for file in ImageFolder(tmp_path).tree()] == ["real/a.png"]


def test_a_split_may_be_a_link_to_another(tmp_path):
    draw(tmp_path / "test" / "real" / "a.png")
    (tmp_path / "valid").symlink_to("test")
    assert {k: names(v) for k, v in ImageFolder(tmp_path).splits().items()} == {
        "validation": ["valid/real/a.png"],
        "test": ["test/real/a.png"],
    }


@pytest.fixture
def write_groups(tmp_path):
    """Writes `groups.csv` beside two images, and reads it."""
    for name in ("0.png", "1.png"):
        draw(tmp_path / name)

    def write(table):
        contents = table.encode() if isinstance(table, str) else table
        (tmp_path / "groups.csv").write_bytes(contents)
        files = ImageFolder(tmp_path).tree()
        return {file.id: file.group for file in files if file.group}

    return write


@pytest.mark.parametrize(
    ("table", "groups"),
    [
        ("path,group\n0.png,a\n1.png,a\n", {"0.png": "a", "1.png": "a"}),
        ("group,path,url\na,0.png,x\n", {"0.png": "a"}),
        # Without a group an image is one of its own, also in a row that ends
        # early; and Excel puts a mark in front.
        ("\ufeffpath,group\n0.png,\n1.png\n", {}),
        # However a path is spelled, it is applied.
        (
            "path,group\n./0.png,a\nb/..//1.png,b\n",
            {"0.png": "a", "1.png": "b"},
        ),
    ],
)
def test_groups_are_read_from_the_table(write_groups, table, groups):
    assert write_groups(table) == groups


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file;video\n", r"groups\.csv.*path,group"),
        ("path,group\na,André\n".encode("cp1252"), "is no table .*utf-8"),
        ('path,group\n"0.png,a\n1.png,a\n', "is no table .*end of data"),
        ("path,group\n" + "0" * 200_000, "is no table .*field larger"),
        # Its images would silently count as independent.
        ("path,group\nb/0.png,a\n", r"for 1 of its 1 rows, .* 'b/0\.png':"),
        ("path,group\n0.png,a\n2.png,\n", r"for 1 of its 2 rows.*'2\.png':"),
        ("path,group\n,a\n", "for 1 of its 1 rows, such as '':"),
        ("path,group\ngroups.csv,a\n", "for 1 of its 1 rows"),
        (f"path,group\n{'0' * 300}.png,a\n", "for 1 of its 1 rows"),
        ("path,group\n0.png,a\n./0.png,b\n", r"gives 0\.png two groups"),
    ],
)
def test_a_wrong_table_of_groups_is_refused(write_groups, table, message):
    with pytest.raises(UserError, match=message):
        write_groups(table)
