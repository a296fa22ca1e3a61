"""The head that every detector ends in."""

from collections.abc import Callable, Sequence

import keras

from dfk.models import named_layers
from dfk.models.calibration import CalibratedScore
from dfk.models.families import FakeLogit
from dfk.models.layers import (
    Enlarge,
    FlipAverage,
    FlipPairs,
    MomentPooling,
    WithFlips,
)
from dfk.models.out_of_distribution import OutOfDistributionScore


def assemble(
    name: str,
    image_size: int,
    backbone: Callable[[keras.KerasTensor], list[keras.KerasTensor]],
    native_size: int = 0,
    pooling: type[keras.layers.Layer] = MomentPooling,
    averages_flips: bool = True,
    families: Sequence[str] = (),
    ood_parts: Sequence[tuple[int, int]] | None = None,
) -> keras.Model:
    """Puts a detector together: backbone, flip averaging and head.

    Early stages show a generator's traces and late ones its content, so the
    head sees mean and deviation of the channels of several stages, in one
    vector. `features_norm` standardises them with statistics of the training
    data, so that one learning rate suits every detector; it is a batch
    normalisation that never trains.

    Args:
        name: the detector's name.
        image_size: the side S of the images it takes, in pixels.
        backbone: from pixels `[N, S, S, 3]` in 0..255 to feature maps
            `[N, h, w, c]`, from early to late.
        native_size: smaller images are enlarged to this side.
        pooling: the layer that makes one vector of each feature map.
        averages_flips: whether the features are the mean over an image and its
            mirror image.
        families: the families of fakes; with two or more, each has a class.
        ood_parts: the `parts` of the `OutOfDistributionScore`.

    Returns:
        A model from images to `[N, 1]` probabilities of fake, with the layers
        `features`, `ood_score`, `features_norm`, `features_dropout`,
        `classes` (of several families), `logit` and `fake_probability` at its
        end.

    Example:
        >>> conv = keras.layers.Conv2D(8, 3)
        >>> assemble("tiny", 32, lambda x: [conv(x)]).output_shape
        (None, 1)
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    x = images
    if image_size < native_size:
        x = Enlarge(native_size, dtype="float32", name="enlarge")(x)
    if averages_flips:
        x = WithFlips(dtype="float32", name=named_layers.WITH_FLIPS)(x)
    pooled = [pooling(dtype="float32")(maps) for maps in backbone(x)]
    # Also of a single stage, so that every detector has this layer.
    x = keras.layers.Concatenate(name=named_layers.POOLED, dtype="float32")(
        pooled
    )
    average = FlipAverage if averages_flips else keras.layers.Identity
    x = average(name=named_layers.FEATURES, dtype="float32")(x)
    return keras.Model(images, _head(x, families, ood_parts), name=name)


def alone(
    width: int,
    families: Sequence[str] = (),
    ood_parts: Sequence[tuple[int, int]] | None = None,
) -> keras.Model:
    """A detector's head without a backbone, for features known before.

    Args:
        width: the length D of the features.
        families: the families of fakes; with two or more, each has a class.
        ood_parts: the `parts` of the `OutOfDistributionScore`.

    Returns:
        A model from features `[N, D]` to `[N, 1]` probabilities of fake, with
        the layers that `assemble` names.

    Example:
        >>> alone(9216, ["gan", "swap"]).output_shape
        (None, 1)
    """
    features = keras.Input((width,), name=named_layers.FEATURES)
    score = _head(features, families, ood_parts)
    return keras.Model(features, score, name="head")


def _head(
    x: keras.KerasTensor,
    families: Sequence[str],
    ood_parts: Sequence[tuple[int, int]] | None,
) -> keras.KerasTensor:
    """From features `[N, D]` to calibrated probabilities `[N, 1]`."""
    x = OutOfDistributionScore(
        ood_parts, name=named_layers.OOD_SCORE, dtype="float32"
    )(x)
    x = keras.layers.BatchNormalization(
        center=False,
        scale=False,
        epsilon=1e-12,
        trainable=False,
        dtype="float32",
        name=named_layers.FEATURES_NORM,
    )(x)
    x = keras.layers.Dropout(0.3, dtype="float32", name="features_dropout")(x)
    if len(families) > 1:
        x = keras.layers.Dense(
            1 + len(families), dtype="float32", name=named_layers.CLASSES
        )(x)
        logit = FakeLogit(list(families), name=named_layers.LOGIT)
    else:
        logit = keras.layers.Dense(1, dtype="float32", name=named_layers.LOGIT)
    x = logit(x)
    score = CalibratedScore(dtype="float32", name=named_layers.FAKE_PROBABILITY)
    return score(x)


def pooled_flips(detector: keras.Model) -> keras.Model:
    """The part of a detector from images to the features of their flips.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A model that shares the detector's layers and gives `[N, 2, D]`: the
        features of each image, and those of its mirror image. Of a detector
        that takes images as they come, `[N, 1, D]`.
    """
    pooled = detector.get_layer(named_layers.POOLED).output
    names = {layer.name for layer in detector.layers}
    flips = FlipPairs(2 if named_layers.WITH_FLIPS in names else 1)
    return keras.Model(detector.input, flips(pooled))
