"""The head that every detector ends in."""

from collections.abc import Callable

import keras

from dfk.models.novelty import NoveltyGauge
from dfk.models.verdicts import CalibratedScore
from dfk.models.views import (
    BothViews,
    Enlarge,
    MeanOfViews,
    MomentPooling,
    SideBySide,
)


def assemble(
    name: str,
    image_size: int,
    backbone: Callable[[keras.KerasTensor], list[keras.KerasTensor]],
    native_size: int = 0,
    dropout: float = 0.3,
) -> keras.Model:
    """Puts a detector together: both views, the backbone, and the head.

    Early stages carry a generator's traces and late ones what it painted, so
    the head sees means and deviations of the channels of several stages side
    by side.
    `features_norm` standardises them with statistics of the training data,
    which lets one learning rate suit every detector; it is a batch
    normalisation that never trains.

    Args:
        name: the detector's name.
        image_size: the side S of the pictures it takes, in pixels.
        backbone: from pixels `[N, S, S, 3]` in 0..255 to feature maps
            `[N, h, w, c]`, from early to late.
        native_size: smaller pictures are enlarged to this side.
        dropout: the rate of dropout in front of the last layer.

    Returns:
        A model from images to `[N, 1]` probabilities of fake, with the layers
        `features`, `novelty`, `features_norm`, `features_dropout`, `logit`
        and `fake_probability` at its end.

    Example:
        >>> conv = keras.layers.Conv2D(8, 3)
        >>> assemble("tiny", 32, lambda x: [conv(x)]).output_shape
        (None, 1)
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    x = images
    if image_size < native_size:
        x = Enlarge(native_size, dtype="float32", name="enlarge")(x)
    x = BothViews(dtype="float32", name="both_views")(x)
    pooled = [MomentPooling(dtype="float32")(maps) for maps in backbone(x)]
    # A concatenation even of one, so that every detector has this layer.
    x = keras.layers.Concatenate(name="pooled", dtype="float32")(pooled)
    x = MeanOfViews(name="features", dtype="float32")(x)
    x = NoveltyGauge(name="novelty", dtype="float32")(x)
    x = keras.layers.BatchNormalization(
        center=False,
        scale=False,
        epsilon=1e-12,
        trainable=False,
        dtype="float32",
        name="features_norm",
    )(x)
    x = keras.layers.Dropout(dropout, dtype="float32", name="features_dropout")(
        x
    )
    x = keras.layers.Dense(1, dtype="float32", name="logit")(x)
    x = CalibratedScore(dtype="float32", name="fake_probability")(x)
    return keras.Model(images, x, name=name)


def embedder(detector: keras.Model) -> keras.Model:
    """The part of a detector from images to pooled features `[N, D]`.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A model that shares the detector's layers.
    """
    return keras.Model(detector.input, detector.get_layer("features").output)


def pooled_views(detector: keras.Model) -> keras.Model:
    """The part of a detector from images to the features of both views.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A model that shares the detector's layers and gives `[N, 2, D]`: the
        features of each picture, and those of its mirror image.
    """
    pooled = detector.get_layer("pooled").output
    return keras.Model(detector.input, SideBySide(name="views")(pooled))
