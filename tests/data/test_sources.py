import shutil

import numpy as np
import pytest
import tensorflow as tf
from splits import column, read

from dfk import data as dfk_data
from dfk.data import names, sources
from dfk.errors import UserError
from dfk.images import decode


def test_a_folder_has_its_splits(folder):
    data = sources.load(data_dir=str(folder))
    assert data.image_size == 128
    assert {name: split.size for name, split in data.splits.items()} == {
        "train": 8,
        "validation": 4,
        "test": 5,
    }
    for split in data.splits.values():
        assert len(split.examples) == split.size
        spec = split.examples.element_spec
        assert spec["image"] == tf.TensorSpec([128, 128, 3], tf.uint8)
        assert spec["label"] == tf.TensorSpec([], tf.int64)


def test_real_and_fake_images_alternate(folder):
    data = sources.load(data_dir=str(folder), image_size=8)
    assert column(data.splits["train"], "label") == [0, 1, 0, 1, 0, 1, 0, 0]
    assert column(data.splits["test"], "label") == [0, 1, 0, 1, 1]


def test_images_are_decoded_as_everywhere(folder):
    data = sources.load(data_dir=str(folder), image_size=24, splits=["test"])
    for row in read(data.splits["test"]):
        file = tf.io.read_file(str(folder / row["id"].decode()))
        np.testing.assert_array_equal(row["image"], decode.decode(file, 24))


def test_a_limit_takes_the_first_and_keeps_the_balance(folder):
    data = sources.load(
        data_dir=str(folder), image_size=8, splits=["train"], limit=4
    )
    assert data.splits["train"].size == 4
    assert column(data.splits["train"], "id") == [
        *(b"train/real/0.jpg", b"train/fake/0.jpg"),
        *(b"train/real/1.jpg", b"train/fake/1.jpg"),
    ]


def test_the_kaggle_nesting_is_accepted(folder, tmp_path_factory):
    outer = tmp_path_factory.mktemp("archive")
    shutil.copytree(folder, outer / "real_vs_fake" / "real-vs-fake")
    data = sources.load(str(outer), image_size=8, splits=["validation"])
    ids = column(data.splits["validation"], "id")
    assert ids[:2] == [b"valid/real/0.jpg", b"valid/fake/0.jpg"]


def test_groups_come_from_the_table(folder):
    (folder / "groups.csv").write_text("path,group\ntest/fake/0.jpg,a\n")
    data = sources.load(str(folder), image_size=8, splits=["test"])
    ids, groups = (column(data.splits["test"], c) for c in ("id", "group"))
    assert groups == [b"a" if id == b"test/fake/0.jpg" else id for id in ids]


def test_a_split_may_be_called_validation(folder):
    (folder / "valid").rename(folder / "validation")
    data = sources.load(str(folder), splits=["validation"])
    assert data.splits["validation"].size == 4


def test_a_missing_split_is_named(folder):
    shutil.rmtree(folder / "valid")
    with pytest.raises(UserError, match="no split validation"):
        sources.load(str(folder), splits=["validation"])


def test_a_missing_or_empty_class_is_named(folder):
    shutil.rmtree(folder / "test" / "fake")
    with pytest.raises(UserError, match="no fake pictures in its split test"):
        sources.load(str(folder), splits=["test"])
    (folder / "test" / "fake").mkdir()
    with pytest.raises(UserError, match="test/fake holds no pictures"):
        sources.load(str(folder), splits=["test"], one_class=True)


def test_one_class_is_enough_to_test_on(folder):
    shutil.rmtree(folder / "test" / "fake")
    data = sources.load(str(folder), splits=["test"], one_class=True)
    assert column(data.splits["test"], "label") == [0, 0]


def test_images_to_test_on_need_no_splits(folder):
    data = sources.load(str(folder / "test"), splits=["test"], one_class=True)
    assert column(data.splits["test"], "label") == [0, 1, 0, 1, 1]
    with pytest.raises(UserError, match="no split train"):
        sources.load(str(folder / "test"), splits=["train"])


def test_a_folder_without_either_class_is_refused(tmp_path):
    with pytest.raises(UserError, match="that holds folders real and fake"):
        sources.load(str(tmp_path), splits=["test"], one_class=True)


@pytest.fixture
def smaller(folder, tmp_path_factory):
    """Another folder, with 2 + 2 training images."""
    other = tmp_path_factory.mktemp("other") / "smaller"
    shutil.copytree(folder, other)
    for name in ("real/2.jpg", "real/3.jpg", "real/4.jpg", "fake/2.jpg"):
        (other / "train" / name).unlink()
    return other


def test_sources_are_trained_on_equally_often(folder, smaller):
    both = f"{folder},{smaller}"
    split = sources.load(both, image_size=8, splits=["train"]).splits["train"]
    ids = [id.decode().split("/", 1) for id in column(split, "id")]
    first, second = f"1-{folder.name}", "2-smaller"
    assert split.size == len(ids) == 16
    assert [prefix for prefix, _ in ids] == [first, second] * 8
    assert len({name for prefix, name in ids if prefix == first}) == 8
    assert sorted(name for prefix, name in ids if prefix == second) == sorted(
        ["train/real/0.jpg", "train/real/1.jpg"] * 2
        + ["train/fake/0.jpg", "train/fake/1.jpg"] * 2
    )


def test_a_source_without_splits_is_not_trained_and_validated_on(folder):
    both = f"{folder},{folder / 'test'}"
    with pytest.raises(UserError, match="test has no split train"):
        sources.load(both, splits=["train", "validation"])


def test_sources_are_tested_on_once_each(folder, smaller):
    both = f"{folder},{smaller}"
    split = sources.load(both, image_size=8, splits=["test"]).splits["test"]
    assert split.size == len(set(column(split, "id"))) == 10
    assert set(column(split, "group")) == set(column(split, "id"))


def test_merged_data_change_with_their_parts(folder, smaller):
    def version(names):
        return sources.load(names, splits=["test"]).splits["test"].version

    before = version(f"{folder},{smaller}")
    (smaller / "test" / "real" / "0.jpg").touch()
    assert version(f"{folder},{smaller}") != before


def test_the_listing_tells_whether_images_came_or_went(folder, smaller):
    def listing(names=str(folder)):
        return sources.load(names, splits=["test"]).splits["test"].listing

    before = listing()
    image = folder / "test" / "real" / "0.jpg"
    image.touch()
    assert listing() == before
    # A copy, such as another worker's, is the same data.
    assert listing(str(smaller)) == before
    assert listing(f"{folder},{smaller}") != before
    content = image.read_bytes()
    image.write_bytes(content + b" ")
    assert listing() != before
    image.write_bytes(content)
    assert listing() == before
    image.rename(image.with_name("9.jpg"))
    assert listing() != before


def test_a_folder_may_have_a_comma_in_its_name(folder, tmp_path_factory):
    odd = tmp_path_factory.mktemp("odd") / "a,b"
    shutil.copytree(folder, odd)
    assert names.split(str(odd)) == [str(odd)]
    assert sources.load(str(odd), splits=["test"]).splits["test"].size == 5


def test_a_file_that_vanished_is_not_called_broken(folder):
    data = sources.load(str(folder), image_size=8, splits=["test"])
    gone = folder / "test" / "fake" / "1.jpg"
    gone.unlink()
    with (
        pytest.raises(UserError, match=f"^{gone} cannot be .* put it back"),
        dfk_data.unreadable_files(),
    ):
        read(data.splits["test"])


@pytest.mark.parametrize("dataset", ["./nowhere", "~/nowhere", "/nowhere"])
def test_a_missing_folder_is_named(dataset):
    with pytest.raises(UserError, match=r"^No folder .*nowhere"):
        sources.load(dataset)


def test_an_unknown_name_gets_the_closest():
    with pytest.raises(UserError, match="did you mean real_fake_faces/kaggle"):
        sources.load("real_fake_faces/kagle")
    with pytest.raises(UserError, match="did you mean real_fake_faces/sample"):
        sources.load("sample")


def test_a_list_of_folders_may_be_longer_than_a_path():
    listed = [f"/faces/{'x' * 100}-{number}" for number in range(99)]
    assert names.split(",".join(listed)) == listed
    with pytest.raises(UserError, match=f"^No folder {listed[0]}:"):
        sources.load(data_dir=",".join(listed))


@pytest.mark.parametrize("several", [False, True])
def test_chosen_images_are_read_without_the_others(folder, smaller, several):
    place = f"{folder},{smaller}" if several else str(folder)
    split = sources.load(place, image_size=8, splits=["test"]).splits["test"]
    rows = {row["id"]: row for row in read(split)}
    chosen = sorted(id for id in rows if id.endswith(b"fake/1.jpg"))
    assert len(chosen) == (2 if several else 1)
    for other in (*folder.glob("test/*/*"), *smaller.glob("test/*/*")):
        if other.parent.name != "fake" or other.name != "1.jpg":
            other.write_bytes(b"no picture")
    ids = [id.decode() for id in chosen]
    found = list(split.chosen(ids).as_numpy_iterator())
    assert sorted(row["id"] for row in found) == chosen
    for row in found:
        np.testing.assert_array_equal(row["image"], rows[row["id"]]["image"])
        assert row["label"] == 1


def test_one_of_two_names_is_to_be_passed():
    with pytest.raises(UserError, match="pass one of them"):
        names.name_or_folder("real_fake_faces/kaggle", "mine")


def test_several_folders_may_be_named_as_a_data_set(
    folder, tmp_path, monkeypatch
):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    both = f"{folder},other"
    assert names.name_or_folder(both, None) == (None, both)
    mixed = "other,real_fake_faces/kaggle"
    assert names.name_or_folder(mixed, None) == (mixed, None)
