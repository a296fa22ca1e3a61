"""What least squares say of images that they were not fitted to."""

import dataclasses

import numpy as np
import pytest

from dfk import models
from dfk.models import head
from dfk.models.features import Features
from dfk.training import least_squares
from dfk.training.calibrate import calibrate_head
from dfk.training.head_fit import (
    KnownSource,
    fit_to_features,
    left_out_logits,
)

CLIP = models.get("clip")


@pytest.mark.parametrize("weighted", [False, True])
def test_groups_are_left_out_as_if_fitted_again(weighted):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 80)).astype("float32")
    classes, groups = rng.integers(0, 3, 60), rng.integers(0, 15, 60)
    weights = rng.uniform(0.3, 2, 60) if weighted else None
    found = least_squares.leave_groups_out(
        values, classes, weights, 0.4, groups
    )
    for group in np.unique(groups):
        own = groups == group
        # The penalty is the same, though it is stated a row.
        without = least_squares.fit(
            values[~own],
            classes[~own],
            None if weights is None else weights[~own],
            0.4 * 60 / (~own).sum(),
        )
        again = values[own] @ without.kernel + without.bias
        np.testing.assert_allclose(found[own], again, atol=1e-5)


def noise(count, seed, groups=None):
    """Features that say nothing of their labels."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 1, 400)).astype("float16")
    names = np.arange(count).astype(str) if groups is None else groups
    return Features(values, np.arange(count) % 2, names, names)


@pytest.mark.parametrize("families", [["a"], ["a", "b"]])
def test_what_was_learnt_by_heart_does_not_count(families):
    sources = [
        KnownSource(family, noise(60, number))
        for number, family in enumerate(families)
    ]
    model = head.alone(400, families)
    fit_to_features(model, sources, CLIP.recipe)
    found = left_out_logits(model, sources, CLIP.recipe)
    for source, left_out in zip(sources, found, strict=True):
        labels = source.features.labels
        known = models.logit_head(model)(source.features.mean).numpy()[:, 0]
        assert np.mean((known > 0) == labels) > 0.9
        assert np.mean((left_out > 0) == labels) < 0.7


def test_self_blends_are_left_out_with_their_image():
    images = noise(60, 0)
    sources = [KnownSource("a", images), KnownSource("self-blends", images)]
    model = head.alone(400, ["a", "self-blends"])
    fit_to_features(model, sources, CLIP.recipe)
    left_out, _ = left_out_logits(model, sources, CLIP.recipe)
    assert np.mean((left_out > 0) == images.labels) < 0.7


def test_verdicts_rest_on_the_training_images_too():
    training, validation = (
        KnownSource("a", noise(*each)) for each in ((60, 0), (20, 1))
    )
    for ridge, images in ((0.4, (40, 40)), (None, (10, 10))):
        recipe = dataclasses.replace(CLIP.recipe, ridge=ridge)
        detector = dataclasses.replace(CLIP, recipe=recipe)
        model = head.alone(400)
        fit_to_features(model, [training], recipe)
        calibrate_head(model, [training], [], [validation], detector)
        calibration = models.score_layer(model).calibration
        assert calibration.images == images


def test_images_of_one_group_cannot_be_left_out():
    sources = [KnownSource("a", noise(60, 0, np.repeat("one", 60)))]
    model = head.alone(400)
    fit_to_features(model, sources, CLIP.recipe)
    assert left_out_logits(model, sources, CLIP.recipe) == []
