"""Bringing small pictures to the size that a backbone was trained at."""

import keras


@keras.saving.register_keras_serializable("dfk")
class Enlarge(keras.layers.Layer):
    """Resizes pictures `[N, S, S, 3]` to `[N, size, size, 3]`, bilinearly.

    `keras.layers.Resizing` would do, but in Keras 3.15 it passes its own
    `training=True` on to the layers after it, so that merely calling a
    detector would change the statistics of its batch normalisations.

    Args:
        size: the side of the result, in pixels.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, images):
        """Resizes a batch."""
        return keras.ops.image.resize(images, (self.size, self.size))

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"size": self.size}
