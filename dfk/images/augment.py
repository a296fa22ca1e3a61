"""What happens to training images on their way to the detector."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

# In shares of full light, of the colour, of JPEG's quality, of the area.
_LIGHT = 0.1
_SATURATION = (0.9, 1.1)
_QUALITY = (30, 100)
_SHRINK = (0.4, 1.0)
_ERASED = (0.05, 0.3)


@dataclass(frozen=True)
class Augmentation:
    """How much training images are changed.

    Args:
        degraded: how often an image is made small and large again, and how
            often it is stored again as JPEG, in 0..1.
        erased: how often a square of 5 to 30 % of its area is filled with
            its mean colour, in 0..1 (Zhong et al., "Random Erasing Data
            Augmentation", AAAI 2020): no single place gives the answer away,
            and an image is harder to learn by heart.
        shift: how far it is shifted at most, in shares of its side.

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
    """A random change of an image that leaves its label true.

    Mirrored, shifted, given another light, and sometimes resized or stored
    again as JPEG: what happens to honest images on their way to a user. All
    of it is mild, since a strong change wipes out the traces that the detector
    is to learn. Where that is asked for, a part of some images is erased.

    Args:
        image: uint8 `[S, S, 3]`.
        seed: int64 `[2]`; equal seeds make equal changes, in whatever order
            and on however many threads the images come.
        strength: how much is changed.

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
    x = tf.image.stateless_random_brightness(x, _LIGHT, light)
    x = tf.clip_by_value(x, 0.0, 1.0)
    x = tf.image.stateless_random_saturation(x, *_SATURATION, colour)
    x = _sometimes(strength.degraded, _resized, x, shrink)
    x = _sometimes(strength.degraded, _stored, x, store)
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


def _stored(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
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
