"""What training pictures go through."""

import numpy as np
import pytest
import tensorflow as tf

from dfk.images.augment import augment


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    smooth = rng.uniform(60, 200, (64, 1, 1, 3))
    return (smooth + rng.normal(0, 12, (64, 40, 40, 3))).astype(np.uint8)


def _augmented(pictures, epoch, parallel=1, degraded=0.5):
    numbered = tf.data.Dataset.from_tensor_slices(pictures).enumerate()

    def change(index, picture):
        seed = tf.stack([tf.constant(epoch, "int64"), index])
        return augment(picture, seed, degraded)

    changed = numbered.map(change, num_parallel_calls=parallel)
    return np.stack(list(changed.as_numpy_iterator()))


def test_pictures_keep_their_shape_and_range(pictures):
    changed = _augmented(pictures, epoch=1)
    assert changed.shape == pictures.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_equal_seeds_change_alike_on_any_number_of_threads(pictures):
    np.testing.assert_array_equal(
        _augmented(pictures, epoch=1, parallel=1),
        _augmented(pictures, epoch=1, parallel=8),
    )


def test_every_picture_and_every_epoch_is_changed_differently(pictures):
    same = np.repeat(pictures[:1], 8, axis=0)
    changed = np.concatenate([_augmented(same, 1), _augmented(same, 2)])
    assert len(np.unique(changed, axis=0)) == 16


def test_changes_are_mild(pictures):
    changed = _augmented(pictures, epoch=1)
    means = changed.mean(axis=(1, 2, 3)) - pictures.mean(axis=(1, 2, 3))
    assert 2 < np.abs(means).max() < 30


def test_only_as_many_as_asked_for_lose_their_fine_grain(pictures):
    def grain(degraded):
        changed = _augmented(pictures, epoch=1, degraded=degraded)
        return np.abs(np.diff(changed, axis=1)).mean((1, 2, 3))

    untouched = grain(0)
    assert untouched.min() > 0.8 * untouched.mean()
    lost = [np.mean(grain(rate) < 0.8 * untouched) for rate in (0.5, 1)]
    # Either of two changes with a chance of a half each: three of four.
    assert 0.6 < lost[0] < 0.9
    assert lost[1] > 0.9


def test_about_half_of_the_pictures_are_mirrored():
    left = np.zeros((100, 32, 32, 3), np.uint8)
    left[:, :, :16] = 200
    changed = _augmented(left, epoch=3)
    mirrored = changed[:, :, :16].mean((1, 2, 3)) < changed[:, :, 16:].mean(
        (1, 2, 3)
    )
    assert 35 <= mirrored.sum() <= 65
