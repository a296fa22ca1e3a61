"""Augmentation of training images."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from dfk.images.augment import Augmentation, augment


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    smooth = rng.uniform(60, 200, (64, 1, 1, 3))
    return (smooth + rng.normal(0, 12, (64, 40, 40, 3))).astype(np.uint8)


@functools.cache
def _traced(strength):
    """Traces the changes of a strength once for all tests."""
    return tf.function(lambda image, seed: augment(image, seed, strength))


def _augmented(images, epoch, parallel=1, **strength):
    numbered = tf.data.Dataset.from_tensor_slices(images).enumerate()
    change = _traced(Augmentation(**strength))
    changed = numbered.map(
        lambda index, image: change(
            image, tf.stack([tf.constant(epoch, "int64"), index])
        ),
        num_parallel_calls=parallel,
    )
    return np.stack(list(changed.as_numpy_iterator()))


@pytest.fixture(scope="module")
def changed(images):
    return _augmented(images, epoch=1)


def test_images_keep_their_shape_and_range(images, changed):
    assert changed.shape == images.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_equal_seeds_change_alike_on_any_number_of_threads(images, changed):
    again = _augmented(images, epoch=1, parallel=8)
    np.testing.assert_array_equal(again, changed)


def test_every_image_and_every_epoch_is_changed_differently(images):
    same = np.repeat(images[:1], 8, axis=0)
    changed = np.concatenate([_augmented(same, 1), _augmented(same, 2)])
    assert len(np.unique(changed, axis=0)) == 16


def test_changes_are_mild(images, changed):
    means = changed.mean(axis=(1, 2, 3)) - images.mean(axis=(1, 2, 3))
    assert 2 < np.abs(means).max() < 30


def test_only_as_many_as_asked_for_lose_their_fine_grain(images):
    def grain(degraded):
        changed = _augmented(images, epoch=1, degraded=degraded)
        return np.abs(np.diff(changed, axis=1)).mean((1, 2, 3))

    untouched = grain(0)
    assert untouched.min() > 0.8 * untouched.mean()
    lost = [np.mean(grain(rate) < 0.8 * untouched) for rate in (0.5, 1)]
    # Either of two changes with a chance of a half each: three of four.
    assert 0.6 < lost[0] < 0.9
    assert lost[1] > 0.9


def test_about_half_of_the_images_are_mirrored():
    left = np.zeros((100, 32, 32, 3), np.uint8)
    left[:, :, :16] = 200
    changed = _augmented(left, epoch=3)
    mirrored = changed[:, :, :16].mean((1, 2, 3)) < changed[:, :, 16:].mean(
        (1, 2, 3)
    )
    assert 35 <= mirrored.sum() <= 65


def test_as_many_as_asked_for_lose_a_square_to_their_mean_colour(
    images, changed
):
    with_squares = _augmented(images, epoch=1, erased=0.5)
    erased = (with_squares != changed).any(-1)
    touched = erased.any((1, 2))
    assert 0.3 < touched.mean() < 0.7
    for before, after, where in zip(
        changed[touched], with_squares[touched], erased[touched], strict=True
    ):
        rows, columns = np.nonzero(where)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height == width
        assert 0.04 < where.mean() < 0.33
        assert where.sum() > 0.95 * height * width
        np.testing.assert_allclose(
            after[where], [before.mean((0, 1))] * where.sum(), atol=0.01
        )


def test_images_are_shifted_as_far_as_asked_for():
    image = np.full((100, 100, 3), 60, np.uint8)
    image[48:52, 48:52] = 200
    same = np.repeat(image[None], 64, axis=0)

    def reach(shift):
        changed = _augmented(same, epoch=1, degraded=0, shift=shift)
        bright = changed.mean(-1) > changed.mean((1, 2, 3))[:, None, None] + 40
        centres = [np.argwhere(image).mean(0) for image in bright]
        return np.abs(np.subtract(centres, 49.5)).max()

    assert 3 <= reach(0.05) <= 5
    assert 15 <= reach(0.2) <= 20
