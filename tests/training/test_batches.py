"""What an epoch deals out, and the self-blended fakes in it."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from dfk import data
from dfk.errors import UserError
from dfk.training import self_blends
from dfk.training.batches import TrainingBatches
from dfk.training.self_blends import SelfBlends

CONTEXT = tf.distribute.InputContext()


@pytest.fixture
def split(faces_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    faces = data.load(data_dir=str(faces_dir), image_size=40)
    return faces.splits["train"]


def _epoch(batches, number, context=CONTEXT):
    parts = list(batches.epoch(number, context).as_numpy_iterator())
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def test_an_epoch_depends_only_on_seed_and_number(split, tmp_path):
    one = TrainingBatches(split, 16, 3, tmp_path)
    _epoch(one, 1)
    two = TrainingBatches(split, 16, 3, tmp_path)
    images, labels = _epoch(two, 2)
    np.testing.assert_array_equal(_epoch(one, 2)[0], images)
    assert not np.array_equal(_epoch(one, 3)[0], images)
    assert images.shape == (48, 40, 40, 3)
    assert labels.sum() == 24


@pytest.mark.parametrize("blended", [False, True])
def test_the_end_of_an_epoch_waits_for_no_tuning(
    split, faces_found, tmp_path, blended
):
    """Autotuning may hang at the end of an epoch, so it is off."""
    made = SelfBlends(split, 0.5) if blended else None
    epoch = TrainingBatches(split, 16, 0, tmp_path, made).epoch(1, CONTEXT)
    assert epoch.options().autotune.enabled is False
    assert split.examples.batch(4).options().autotune.enabled is False


def test_workers_share_an_epoch(split, tmp_path):
    batches = TrainingBatches(split, 16, 0, tmp_path)
    whole, _ = _epoch(batches, 1)
    shares = [
        _epoch(batches, 1, tf.distribute.InputContext(2, worker, 2))[0]
        for worker in range(2)
    ]
    assert len(shares[0]) == len(shares[1]) == 24
    np.testing.assert_array_equal(
        np.sort(np.concatenate(shares).sum((1, 2, 3))),
        np.sort(whole.sum((1, 2, 3))),
    )


def test_images_too_many_for_memory_are_cached_on_disk(
    split, tmp_path, monkeypatch
):
    in_memory = _epoch(TrainingBatches(split, 16, 0, tmp_path), 1)[0]
    monkeypatch.setattr("dfk.data.faces.MEMORY_LIMIT", 1000)
    batches = TrainingBatches(split, 16, 0, tmp_path)
    first, again = _epoch(batches, 1)[0], _epoch(batches, 1)[0]
    assert list(tmp_path.glob("train*"))
    np.testing.assert_array_equal(first, again)
    # A window larger than the data shuffles them alike.
    np.testing.assert_array_equal(first, in_memory)


def test_blends_add_fakes_and_what_they_were_blended_into(
    split, faces_found, tmp_path
):
    made = SelfBlends(split, share=0.5)
    assert len(faces_found) == 24, "only real images are searched"
    assert made.size == 24  # half of 23 faces, rounded, twice
    batches = TrainingBatches(split, 8, 0, tmp_path, made)
    _, labels = _epoch(batches, 1)
    assert len(labels) == 72
    assert labels.sum() == 36


def test_blends_are_new_in_every_epoch_and_the_same_for_a_seed(
    split, faces_found
):
    made = SelfBlends(split, share=1.0)

    def images(seed):
        rows = made.split(seed).examples.as_numpy_iterator()
        return np.stack([row["image"] for row in rows])

    np.testing.assert_array_equal(images(1), images(1))
    fakes, targets = images(1)[::2], images(1)[1::2]
    assert (fakes != targets).any(axis=(1, 2, 3)).all()
    assert (images(1)[::2] != images(2)[::2]).any(axis=(1, 2, 3)).all()


def test_images_are_decoded_for_the_first_blends_only(
    write_faces, faces_found, tmp_path
):
    write_faces(tmp_path / "faces", {"train": 6})
    faces = data.load(data_dir=str(tmp_path / "faces"), splits=["train"])
    made = SelfBlends(faces.splits["train"], share=1.0)
    first = list(made.split(1).examples)
    shutil.rmtree(tmp_path / "faces")
    assert len(list(made.split(2).examples)) == len(first) == made.size


def test_blends_belong_to_the_images_that_they_come_from(split, faces_found):
    made = SelfBlends(split, share=0.5)
    blended = made.split(seed=1)
    rows = list(blended.examples.as_numpy_iterator())
    assert [row["label"] for row in rows] == [1, 0] * 12
    reals = [
        (example["id"], example["group"])
        for example in split.examples.as_numpy_iterator()
        if not example["label"]
    ]
    assert {(row["id"], row["group"]) for row in rows} < set(reals)
    assert blended.size == len(rows)
    assert blended.version == made.split(seed=1).version
    assert blended.version != made.split(seed=2).version


def test_blends_are_spread_over_an_epoch_larger_than_the_window(
    split, faces_found, tmp_path, monkeypatch
):
    monkeypatch.setattr("dfk.data.faces.MEMORY_LIMIT", 1000)
    monkeypatch.setattr("dfk.training.batches.SHUFFLE_WINDOW", 4)
    # Blends are recognised by what they are made into here.
    monkeypatch.setattr(
        self_blends,
        "_blend",
        lambda image, *_: np.zeros((2, 40, 40, 3), np.uint8),
    )
    batches = TrainingBatches(
        split, 1, 0, tmp_path, SelfBlends(split, share=1.0)
    )
    dark = _epoch(batches, 1)[0].max(axis=(1, 2, 3)) < 26
    assert dark.sum() == 46
    assert 12 <= dark[: len(dark) // 2].sum() <= 34


def test_faces_are_detected_once(split, faces_found):
    SelfBlends(split, share=1.0)
    SelfBlends(split, share=1.0)
    assert len(faces_found) == 24


def test_images_without_faces_cannot_be_blended(split, monkeypatch):
    monkeypatch.setattr(self_blends, "find_faces", lambda pixels: [])
    with pytest.raises(UserError, match="train without --blend"):
        SelfBlends(split, share=1.0)


def test_varied_pairs_are_reduced_and_compressed_alike(split, faces_found):
    def pairs(**settings):
        blends = SelfBlends(split, 1.0, **settings).split(seed=3)
        images = [e["image"] for e in blends.examples.as_numpy_iterator()]
        return np.stack(images).astype(float).reshape(-1, 2, 40, 40, 3)

    plain, varied = pairs(), pairs(varied=True)
    np.testing.assert_array_equal(varied, pairs(varied=True))
    assert plain.shape == varied.shape
    # The corner lies outside of every mask; only compression changes it.
    corner = np.s_[:, :, :4, :4]
    fakes, reals = (abs(plain - varied)[:, n] for n in (0, 1))
    assert np.all(np.mean(fakes[:, :4, :4], axis=(1, 2, 3)) > 0)
    difference = abs(varied[corner][:, 0] - varied[corner][:, 1]).mean()
    assert difference < np.mean(reals) / 4
