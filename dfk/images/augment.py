"""Random changes of training images, before the detector sees them."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

# To be raised when the same seed makes other changes: cached features depend on
# it.
VERSION = 1

# Shares of full brightness, of the saturation and of the area; JPEG qualities;
# shares of the side.
_BRIGHTNESS = 0.1
_SATURATION = (0.9, 1.1)
_ERASED = (0.05, 0.3)
_QUALITY = (30, 100)
_SHRINK = (0.4, 1.0)


@dataclass(frozen=True)
class Augmentation:
    """How much training images are changed.

    Args:
        degraded: the probability that an image is shrunk and enlarged again,
            and, drawn separately, that it is compressed again as JPEG; 0..1.
        erased: the probability that a square of 5 to 30 % of its area is
            filled with its mean colour, 0..1. No single place gives the
            answer away then, and an image is harder to memorise (Zhong et
            al., "Random Erasing Data Augmentation", AAAI 2020).
        shift: the largest shift, as a share of the image's side.

    Example:
        >>> Augmentation(degraded=0.25)
    """

    degraded: float = 0.5
    erased: float = 0.0
    shift: float = 0.05


def augment(
    image: tf.Tensor,
    seed: tf.Tensor,
    strength: Augmentation = Augmentation(),
) -> tf.Tensor:
    """Changes an image at random, so that its label stays true.

    It is mirrored, shifted, made lighter or darker and more or less saturated,
    and sometimes resized or compressed again as JPEG, as images are on their
    way to a user. The changes are mild, since strong ones would wipe out the
    traces that the detector is to learn. With `strength.erased`, a part of some
    images is erased.

    Args:
        image: uint8 `[S, S, 3]`.
        seed: int64 `[2]`. Equal seeds make equal changes, in any order and on
            any number of threads.
        strength: how much images are changed.

    Returns:
        float32 `[S, S, 3]` in 0..255.

    Example:
        >>> changed = augment(image, seed=[epoch, index])
    """
    mirror, shift, light, colour, shrink, store, erase = tf.unstack(
        tf.random.split(seed, 7)
    )
    x = tf.image.convert_image_dtype(image, tf.float32)
    x = tf.image.stateless_random_flip_left_right(x, mirror)
    x = _shifted(x, shift, strength.shift)
    x = tf.image.stateless_random_brightness(x, _BRIGHTNESS, light)
    x = tf.clip_by_value(x, 0.0, 1.0)
    x = tf.image.stateless_random_saturation(x, *_SATURATION, colour)
    x = _sometimes(strength.degraded, _resized, x, shrink)
    x = _sometimes(strength.degraded, _recompressed, x, store)
    x = _sometimes(strength.erased, _erased, x, erase)
    return tf.clip_by_value(x, 0.0, 1.0) * 255.0


def _shifted(image: tf.Tensor, seed: tf.Tensor, share: float) -> tf.Tensor:
    reach = max(1, round(image.shape[0] * share))
    edges = [[reach, reach], [reach, reach], [0, 0]]
    wide = tf.pad(image, edges, "REFLECT")
    return tf.image.stateless_random_crop(wide, image.shape, seed)


def _resized(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    side = image.shape[0]
    share = tf.random.stateless_uniform((), seed, *_SHRINK)
    small = tf.cast(tf.round(share * side), tf.int32)
    shrunk = tf.image.resize(image, [small, small], antialias=True)
    return tf.image.resize(shrunk, [side, side], method="bicubic")


def _recompressed(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    image = tf.clip_by_value(image, 0.0, 1.0)
    stored = tf.image.stateless_random_jpeg_quality(image, *_QUALITY, seed)
    return tf.ensure_shape(stored, image.shape)


def _erased(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    size, place = tf.unstack(tf.random.split(seed, 2))
    side = image.shape[0]
    area = tf.random.stateless_uniform((), size, *_ERASED)
    length = tf.cast(tf.round(tf.sqrt(area) * side), tf.int32)
    starts = tf.random.stateless_uniform(
        (2, 1), place, 0, side - length + 1, tf.int32
    )
    distances = tf.range(side) - starts
    rows, columns = tf.unstack((distances >= 0) & (distances < length))
    inside = rows[:, None, None] & columns[:, None]
    return tf.where(inside, tf.reduce_mean(image, axis=(0, 1)), image)


def _sometimes(
    rate: float,
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    image: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    coin, rest = tf.unstack(tf.random.split(seed, 2))
    return tf.cond(
        tf.random.stateless_uniform((), coin) < rate,
        lambda: change(image, rest),
        lambda: image,
    )
