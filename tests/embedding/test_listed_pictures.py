import pytest
from PIL import Image

from dfk.embedding.listing import find
from dfk.errors import UserError


def draw(path, color="gray"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), color).save(path)
    return str(path)


def test_sub_folders_are_identities(tmp_path):
    draw(tmp_path / "top.png")
    draw(tmp_path / "train" / "ann" / "a.png")
    found = [(p.id, p.identity, p.label) for p in find([str(tmp_path)])]
    assert found == [("top.png", "", ""), ("train/ann/a.png", "ann", "")]


def test_a_data_set_has_labels_splits_and_groups(tmp_path):
    draw(tmp_path / "valid" / "fake" / "a.png")
    draw(tmp_path / "train" / "real" / "b.png")
    (tmp_path / "groups.csv").write_text("path,group\ntrain/real/b.png,7\n")
    train, valid = find([str(tmp_path)])
    assert (train.label, train.split, train.identity) == ("real", "train", "7")
    assert (valid.label, valid.split, valid.identity) == (
        *("fake", "validation"),
        "",
    )
    assert find([str(tmp_path)], split="validation") == [valid]


def test_a_file_that_is_named_twice_counts_once(tmp_path):
    path = draw(tmp_path / "ann" / "a.png")
    assert len(find([str(tmp_path), path, path])) == 1


def test_files_of_two_folders_keep_their_names_apart(tmp_path):
    draw(tmp_path / "one" / "a.png")
    draw(tmp_path / "two" / "a.png")
    found = find([str(tmp_path / "one"), str(tmp_path / "two")])
    assert len({image.id for image in found}) == 2


def test_own_output_and_hidden_folders_are_left_out(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / ".thumbs" / "a.png")
    draw(tmp_path / "embeddings" / "clusters" / "map.png")
    found = find([str(tmp_path)], leave_out=tmp_path / "embeddings")
    assert [image.id for image in found] == ["a.png"]


def test_a_wrong_path_is_named():
    with pytest.raises(UserError, match="No file or folder missing"):
        find(["missing.jpg"])


def test_a_folder_without_images_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"No pictures in .* JPEG"):
        find([str(tmp_path)])


def test_a_split_without_images_is_named(tmp_path):
    draw(tmp_path / "a.png")
    with pytest.raises(UserError, match="No pictures of the split test"):
        find([str(tmp_path)], split="test")
