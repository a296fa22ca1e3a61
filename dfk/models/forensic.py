"""A small network on noise residuals only, trained from scratch.

Generators and blending leave their traces in the finest detail, below what
the eye sees; the visible content only distracts. So the first layers are fixed
high-pass filters, and the feature maps keep their full size until the network
has seen their texture.

Reference:
    Tan et al., "Rethinking the Up-Sampling Operations in CNN-based Generative
    Network for Generalizable Deepfake Detection", CVPR 2024; Fridrich &
    Kodovsky, "Rich Models for Steganalysis of Digital Images", IEEE TIFS 2012;
    Zhou et al., "Learning Rich Features for Image Manipulation Detection",
    CVPR 2018.
"""

import keras
import numpy as np
from keras import layers, ops

from dfk.images.augment import Augmentation
from dfk.models.layers import normalize
from dfk.models.registry import Recipe, register

# Degrading an image destroys the traces that this network reads.
RECIPE = Recipe(
    unfreeze="all",
    epochs=12,
    patience=12,
    learning_rate=1e-3,
    batch_size=16,
    augmentation=Augmentation(degraded=0.1),
)

STAGES = {
    "texture": ("texture_",),
    "stage1": ("stage1_",),
    "stage2": ("stage2_",),
    "stage3": ("stage3_",),
}

# Larger residuals are edges of the content, not noise. In grey levels.
_LIMIT = 12.0


@keras.saving.register_keras_serializable("dfk")
class NeighbourResiduals(layers.Layer):
    """The difference of each pixel from the first of its 2 x 2 block.

    Up-sampling inside a generator makes neighbouring pixels depend on each
    other, which these differences show (Tan et al. 2024). Pixels
    `[N, S, S, 3]` in 0..255 give `[N, S, S, 3]`, clipped and scaled to -1..1.
    """

    def call(self, images):
        """Subtracts the first pixel of each block."""
        first = ops.repeat(ops.repeat(images[:, ::2, ::2], 2, 1), 2, 2)
        _, height, width, _ = images.shape
        return _clipped(images - first[:, :height, :width])


@keras.saving.register_keras_serializable("dfk")
class HighPassResiduals(layers.Layer):
    """Three high-pass filters of the spatial rich model, on each channel.

    Each predicts a pixel from its neighbours and keeps the error: along a
    line, in a 3 x 3 and in a 5 x 5 square (Zhou et al. 2018). Pixels
    `[N, S, S, 3]` in 0..255 give `[N, S, S, 9]`, clipped and scaled to -1..1.
    """

    def call(self, images):
        """Filters every channel by itself."""
        kernel = ops.convert_to_tensor(_rich_model_filters(), images.dtype)
        return _clipped(ops.depthwise_conv(images, kernel, padding="same"))


def _clipped(residuals):
    return ops.clip(residuals, -_LIMIT, _LIMIT) / _LIMIT


def _rich_model_filters() -> np.ndarray:
    """The filters as a depthwise kernel, float32 `[5, 5, 3, 3]`."""
    line = np.zeros((5, 5))
    line[2, 1:4] = np.array([1, -2, 1]) / 2
    square3 = np.zeros((5, 5))
    square3[1:4, 1:4] = np.outer([1, -2, 1], [-1, 2, -1]) / 4
    square5 = np.array(
        [
            [-1, 2, -2, 2, -1],
            [2, -6, 8, -6, 2],
            [-2, 8, -12, 8, -2],
            [2, -6, 8, -6, 2],
            [-1, 2, -2, 2, -1],
        ]
    )
    filters = np.stack([line, square3, square5 / 12], axis=-1)
    return np.repeat(filters[:, :, None], 3, axis=2).astype("float32")


@register("forensic", stages=STAGES, recipe=RECIPE)
def forensic(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    """The residual network's backbone."""
    x = layers.Concatenate(name="residuals", dtype="float32")(
        [
            NeighbourResiduals(name="neighbours", dtype="float32")(x),
            HighPassResiduals(name="high_pass", dtype="float32")(x),
        ]
    )
    maps = []
    x = _conv(x, 32, 3, "texture_stem")
    for number in range(2):
        x = _block(x, f"texture_{number}")
    maps.append(x)
    for number, filters in enumerate((64, 96, 128), start=1):
        x = layers.AveragePooling2D(2, name=f"stage{number}_pool")(x)
        x = _conv(x, filters, 1, f"stage{number}_widen")
        for part in "ab":
            x = _block(x, f"stage{number}_{part}")
        maps.append(x)
    return maps


def _conv(x, filters, kernel, name):
    x = layers.Conv2D(
        filters, kernel, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return normalize(x, name)


def _block(x, name):
    """A separable convolution with a shortcut; keeps size and channels."""
    y = layers.SeparableConv2D(
        x.shape[-1], 3, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    y = normalize(y, name, activate=False)
    y = layers.Add(name=f"{name}_add")([x, y])
    return layers.Activation("relu", name=f"{name}_out")(y)
