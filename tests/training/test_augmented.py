"""Changed copies of training images."""

import dataclasses

import numpy as np
import pytest

from dfk import data
from dfk.errors import UserError
from dfk.images.augment import Augmentation
from dfk.training.augmented import augmented_sources


def _rows(split):
    return list(split.examples.as_numpy_iterator())


@pytest.fixture
def faces(config):
    return data.load(data_dir=config.data_dir, image_size=40)


def _copies(faces, seed=0, **strength):
    chosen = Augmentation(**strength)
    (source,) = augmented_sources([faces], 0.5, chosen, seed)
    return source


def test_a_copy_shows_its_original_changed(faces):
    copies = _copies(faces)
    originals = _rows(faces.splits["train"])
    rows = _rows(copies.split)
    assert copies.weight == 0.5
    assert len(rows) == copies.split.size == round(len(originals) / 2)
    for row, original in zip(rows, originals, strict=False):
        kept = {name: row[name] for name in ("label", "id", "group")}
        assert kept.items() <= original.items()
        assert row["image"].dtype == np.uint8
        assert row["image"].shape == original["image"].shape
        assert not np.array_equal(row["image"], original["image"])


def test_changes_follow_from_the_seed(faces):
    first, again, other = (_copies(faces, seed).split for seed in (3, 3, 4))
    assert first.version == again.version != other.version
    assert first.version != _copies(faces, 3, degraded=0.1).split.version
    rows = map(_rows, (first, again, other))
    for row, same, changed in zip(*rows, strict=True):
        assert np.array_equal(row["image"], same["image"])
        assert not np.array_equal(row["image"], changed["image"])


def test_a_backbone_that_is_tuned_gets_none(config):
    tuned = dataclasses.replace(config, model="cnn", augment=0.5)
    with pytest.raises(UserError, match=r"--augment=0\.5 .*`all` on.*none"):
        tuned.resolved()
