"""A detector of two convolutions, which trains in seconds.

As a script, it is `python -m dfk.train` that knows this detector as well.
"""

from keras import layers

from dfk.images.augment import Augmentation
from dfk.models import Recipe, registry

RECIPE = Recipe(
    unfreeze="all",
    epochs=20,
    patience=10,
    learning_rate=1e-3,
    batch_size=16,
    augmentation=Augmentation(degraded=0.25),
)
STAGES = {"early": ("early_",), "late": ("late_",)}


def small(x):
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    maps = []
    for stage, filters in (("early", 8), ("late", 16)):
        x = layers.Conv2D(
            filters, 3, strides=2, use_bias=False, name=f"{stage}_conv"
        )(x)
        x = layers.BatchNormalization(name=f"{stage}_bn")(x)
        x = layers.Activation("relu", name=f"{stage}_relu")(x)
        maps.append(x)
    return maps


def register():
    registry.register("small", stages=STAGES, recipe=RECIPE)(small)


if __name__ == "__main__":
    from dfk import cli, train

    register()
    cli.run(train.main)
