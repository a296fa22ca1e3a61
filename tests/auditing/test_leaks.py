import dataclasses

import numpy as np
import pytest

from dfk.auditing import leaks
from dfk.auditing.images import ImageTable

SPLITS = np.repeat(["train", "validation", "test"], (40, 20, 20))


@pytest.fixture
def images():
    """Eighty unlike images in three splits, every second one fake."""
    rng = np.random.default_rng(0)
    hashes = rng.random((80, 256)) < 0.5
    ids = np.array([f"{split}/{i}" for i, split in enumerate(SPLITS)])
    return ImageTable(
        splits=SPLITS,
        labels=np.arange(80) % 2,
        ids=ids,
        groups=ids,
        hashes=hashes,
        mirrored=rng.random((80, 256)) < 0.5,
        thumbnails=np.zeros((80, 8, 8, 3), "uint8"),
    )


def strangers(count=80):
    values = np.random.default_rng(1).normal(size=(count, 128))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype("f4")


def test_the_closest_of_every_earlier_split_is_found_once():
    vectors = np.eye(4, dtype="f4")[[0, 0, 1, 0, 1, 2]]
    splits = np.repeat(["train", "validation", "test"], 2)
    found = leaks.closest_pairs(vectors[[0, 2, 3, 5, 1, 4]], splits, 0.9)
    assert list(zip(found.held_out, found.closest, strict=True)) == [
        (2, 0),
        (4, 0),
        (5, 1),
        (4, 2),
    ]
    assert found.compared == 12


def test_images_of_one_split_are_not_compared():
    same = np.ones((5, 1), "f4")
    found = leaks.closest_pairs(same, np.array(["train"] * 5), 0.9)
    assert len(found.held_out) == found.compared == 0


def test_unlike_images_are_no_duplicates(images):
    check, found = leaks.near_duplicates(images)
    assert check.verdict == "ok"
    assert not len(found.held_out)


@pytest.mark.parametrize(("changed", "pair"), [(40, True), (42, False)])
def test_hashes_may_differ_in_40_of_256_bits(images, changed, pair):
    images.hashes[70] = images.hashes[3]
    images.hashes[70, :changed] ^= True
    check, found = leaks.near_duplicates(images)
    assert list(zip(found.held_out, found.closest, strict=True)) == (
        [(70, 3)] if pair else []
    )
    assert check.verdict == ("danger" if pair else "ok")


def test_a_mirror_image_is_a_duplicate(images):
    images.mirrored[70] = images.hashes[3]
    check, found = leaks.near_duplicates(images)
    assert check.numbers["held_out_images"] == 1
    assert found.similarity[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "same"), [(0, True), (6, True), (8, False)]
)
def test_an_image_with_both_labels_is_a_danger_in_one_split_too(
    images, changed, same
):
    alone = dataclasses.replace(images, splits=np.repeat(["train"], 80))
    alone.hashes[3] = alone.hashes[4]
    alone.hashes[3, :changed] ^= True
    check, found = leaks.both_labels(alone)
    assert check.verdict == ("danger" if same else "ok")
    assert list(zip(found.held_out, found.closest, strict=True)) == (
        [(3, 4)] if same else []
    )


def test_copies_with_one_label_are_not_called_both(images):
    images.hashes[4] = images.hashes[6]
    check, _ = leaks.both_labels(images)
    assert check.verdict == "ok"


def test_one_split_alone_is_not_checked(images):
    alone = dataclasses.replace(images, splits=np.repeat(["train"], 80))
    check, _ = leaks.near_duplicates(alone)
    assert check.verdict == "not checked"
    check, _ = leaks.same_person(alone, strangers())
    assert check.verdict == "not checked"


def test_strangers_are_no_leak(images):
    check, _ = leaks.same_person(images, strangers())
    assert check.verdict == "ok"


def test_a_person_in_two_splits_is_a_leak(images):
    embeddings = strangers()
    embeddings[60:72:2] = embeddings[0]
    check, found = leaks.same_person(images, embeddings)
    assert check.verdict == "danger"
    assert check.numbers["share"] == pytest.approx(6 / 20)
    assert set(found.held_out) == set(range(60, 72, 2))
    assert set(found.closest) == {0}


def test_more_faces_to_compare_with_ask_for_more_likeness():
    limits = [leaks.person_similarity(count) for count in (50, 500, 5000)]
    assert 0.75 < limits[0] < limits[1] < limits[2] < 0.95


def test_the_face_of_a_fake_is_nobody(images):
    embeddings = strangers()
    embeddings[61:73:2] = embeddings[1]
    check, _ = leaks.same_person(images, embeddings)
    assert check.verdict == "ok"


def test_images_without_groups_are_not_checked_for_them(images):
    assert leaks.crossing_groups(images).verdict == "not checked"


def test_a_group_in_two_splits_is_counted(images):
    groups = images.groups.copy()
    groups[[0, 1, 50, 70, 71]] = "video"
    check = leaks.crossing_groups(dataclasses.replace(images, groups=groups))
    assert check.verdict == "danger"
    assert check.numbers["crossing"] == 1
    assert check.numbers["held_out_images"] == 3


def test_groups_within_a_split_are_fine(images):
    groups = images.groups.copy()
    groups[[0, 1]] = "video"
    check = leaks.crossing_groups(dataclasses.replace(images, groups=groups))
    assert check.verdict == "ok"
