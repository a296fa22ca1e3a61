"""Layers in and around a backbone: resizing, flips, pooling, normalising."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("dfk")
class Enlarge(keras.layers.Layer):
    """Resizes images `[N, S, S, 3]` to `[N, size, size, 3]`, bilinearly.

    `keras.layers.Resizing` would do, but in Keras 3.15 it passes its own
    `training=True` on to the layers after it: merely calling a detector would
    then change the statistics of its batch normalisations.

    Args:
        size: the side of the result, in pixels.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, images):
        """Resizes a batch."""
        return ops.image.resize(images, (self.size, self.size))

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"size": self.size}


@keras.saving.register_keras_serializable("dfk")
class Resize(Enlarge):
    """Resizes images as `Enlarge` does, but shrinks them antialiased.

    For images of any size. Where all are small, `Enlarge` is four times as
    fast.

    Args:
        size: the side of the result, in pixels.
    """

    def call(self, images):
        """Resizes a batch."""
        return ops.image.resize(images, (self.size, self.size), antialias=True)


@keras.saving.register_keras_serializable("dfk")
class WithFlips(keras.layers.Layer):
    """Appends the mirror images of a batch: `[N, ...]` to `[2N, ...]`.

    Flip test-time augmentation, together with `FlipAverage` at the other end
    of the backbone. An image and its mirror image then get the same score,
    which is better than the score of either alone. In training nothing is
    appended: images are mirrored by the augmentation there, and a step would
    take twice as long.
    """

    def call(self, images, training=None):
        """Appends the mirror images, except in training."""
        if training:
            return images
        return ops.concatenate([images, ops.flip(images, axis=2)], axis=0)


@keras.saving.register_keras_serializable("dfk")
class MomentPooling(keras.layers.Layer):
    """Mean and deviation of each channel: `[N, h, w, c]` to `[N, 2c]`.

    The mean says how much of a pattern an image has. The deviation says
    whether the pattern is everywhere, as a camera's noise is, or in places, as
    an artefact is.

    Reference:
        Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive
        Instance Normalization", ICCV 2017, describe an image's style by the
        same two statistics.
    """

    def call(self, maps):
        """Pools over height and width."""
        mean, variance = ops.moments(maps, axes=(1, 2))
        # At the variance 0 of a dead channel, the root has no finite gradient.
        return ops.concatenate([mean, ops.sqrt(variance + 1e-5)], axis=-1)


@keras.saving.register_keras_serializable("dfk")
class FlipAverage(keras.layers.Layer):
    """Averages the features of both flips: `[2N, D]` to `[N, D]`."""

    def call(self, features, training=None):
        """Averages the two halves of the batch, except in training."""
        if training:
            return features
        flips = ops.reshape(features, (2, -1, features.shape[-1]))
        return ops.mean(flips, axis=0)


@keras.saving.register_keras_serializable("dfk")
class FlipPairs(keras.layers.Layer):
    """Puts the features of an image's flips together: `[FN, D]` to `[N, F, D]`.

    Args:
        flips: F, 2 with the mirror images of `WithFlips`, 1 without.
    """

    def __init__(self, flips: int, **kwargs):
        super().__init__(**kwargs)
        self.flips = flips

    def call(self, features):
        """Regroups the parts of the batch."""
        shape = (self.flips, -1, features.shape[-1])
        return ops.transpose(ops.reshape(features, shape), (1, 0, 2))

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"flips": self.flips}


@keras.saving.register_keras_serializable("dfk")
class UnitLength(keras.layers.Layer):
    """Scales each row of `[N, D]` to Euclidean length 1."""

    def call(self, x):
        """Normalises along the last axis."""
        return ops.normalize(x, axis=-1, order=2)


def normalize(
    x: keras.KerasTensor, name: str, activate: bool = True
) -> keras.KerasTensor:
    """Batch normalisation, and a ReLU if `activate`, to train from scratch."""
    # Momentum .9: the moving statistics must settle within the few hundred
    # steps that a small data set gives. Synchronized: several devices then
    # keep the same statistics as one would.
    x = keras.layers.BatchNormalization(
        momentum=0.9, synchronized=True, name=f"{name}_bn"
    )(x)
    if not activate:
        return x
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)
