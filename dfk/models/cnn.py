"""The baseline: a small residual network, trained from scratch.

Separable convolutions with shortcuts, as in Xception, with 0.7 million
parameters: better than a plain stack of as many layers, and fast on a CPU.

Reference:
    Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions",
    CVPR 2017.
"""

import keras
from keras import layers

from dfk.images.augment import Augmentation
from dfk.models.layers import normalize
from dfk.models.registry import Recipe, register

# On few images the fine detail of each one is needed, so they are degraded
# half as often. Small batches give more steps an epoch.
RECIPE = Recipe(
    unfreeze="all",
    epochs=20,
    patience=10,
    learning_rate=1e-3,
    batch_size=16,
    augmentation=Augmentation(degraded=0.25),
)

STAGES = {
    "stem": ("stem_",),
    "stage1": ("stage1_",),
    "stage2": ("stage2_",),
    "stage3": ("stage3_",),
    "stage4": ("stage4_",),
}


@register("cnn", stages=STAGES, recipe=RECIPE)
def cnn(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    """The baseline's backbone."""
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(x)
    x = layers.Conv2D(
        32, 3, strides=2, use_bias=False, padding="same", name="stem_conv"
    )(x)
    x = normalize(x, "stem")
    for number, filters in enumerate((64, 128, 256, 512), start=1):
        x = _stage(x, filters, f"stage{number}")
    return [x]


def _stage(x, filters, name):
    """Two separable convolutions and a shortcut; halves the map."""
    shortcut = layers.Conv2D(
        filters, 1, strides=2, use_bias=False, name=f"{name}_shortcut"
    )(x)
    shortcut = normalize(shortcut, f"{name}_shortcut", activate=False)
    for part in ("a", "b"):
        x = layers.SeparableConv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            name=f"{name}_{part}_conv",
        )(x)
        x = normalize(x, f"{name}_{part}", activate=part == "a")
    x = layers.MaxPooling2D(3, 2, padding="same", name=f"{name}_pool")(x)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=f"{name}_out")(x)
