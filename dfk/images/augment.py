"""What happens to training pictures on their way to the detector."""

from collections.abc import Callable

import tensorflow as tf

# In shares of the side, of full light, of the colour, of JPEG's quality.
_SHIFT = 0.05
_LIGHT = 0.1
_SATURATION = (0.9, 1.1)
_QUALITY = (30, 100)
_SHRINK = (0.4, 1.0)


def augment(
    image: tf.Tensor, seed: tf.Tensor, degraded: float = 0.5
) -> tf.Tensor:
    """A random change of a picture that leaves its label true.

    Mirrored, shifted by up to a twentieth of the side, given another light,
    and sometimes resized or stored again as JPEG: what happens to honest
    pictures on their way to a user. All of it is mild, since a strong change
    wipes out the traces that the detector is to learn.

    Args:
        image: uint8 `[S, S, 3]`.
        seed: int64 `[2]`; equal seeds make equal changes, in whatever order
            and on however many threads the pictures come.
        degraded: how often a picture is made small and large again, and how
            often it is stored again as JPEG, in 0..1.

    Returns:
        float32 `[S, S, 3]` in 0..255.

    Example:
        >>> changed = augment(image, seed=[epoch, index])
    """
    mirror, shift, light, colour, shrink, store = tf.unstack(
        tf.random.split(seed, 6)
    )
    x = tf.image.convert_image_dtype(image, tf.float32)
    x = tf.image.stateless_random_flip_left_right(x, mirror)
    x = _shifted(x, shift)
    x = tf.image.stateless_random_brightness(x, _LIGHT, light)
    x = tf.clip_by_value(x, 0.0, 1.0)
    x = tf.image.stateless_random_saturation(x, *_SATURATION, colour)
    x = _sometimes(degraded, _resized, x, shrink)
    x = _sometimes(degraded, _stored, x, store)
    return tf.clip_by_value(x, 0.0, 1.0) * 255.0


def _shifted(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    reach = max(1, round(image.shape[0] * _SHIFT))
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
