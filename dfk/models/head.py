"""The head that every detector ends in, and the calibration it carries."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from dfk.models.views import (
    BothViews,
    Enlarge,
    MeanOfViews,
    MomentPooling,
    SideBySide,
)

VERDICTS = ("real", "fake", "uncertain", "unreadable")


@dataclass(frozen=True)
class Calibration:
    """What turns a logit into a probability, and a probability into a verdict.

    Args:
        temperature: the logit is divided by it (Guo et al., "On Calibration
            of Modern Neural Networks", ICML 2017).
        real_below: a probability of fake below this is a verdict `real`.
        fake_above: a probability of fake above this is a verdict `fake`.
            What lies between the two is `uncertain`.
        bias: is added to the divided logit, for a detector that leans to one
            side (Platt, "Probabilistic Outputs for Support Vector Machines",
            1999).
    """

    temperature: float = 1.0
    real_below: float = 0.5
    fake_above: float = 0.5
    bias: float = 0.0


@keras.saving.register_keras_serializable("dfk")
class CalibratedScore(keras.layers.Layer):
    """Logit `[N, 1]` to calibrated probability of fake `[N, 1]`, float32.

    Temperature, bias and thresholds are weights that no optimizer touches, so
    that they travel inside `.keras` files and SavedModels.

    Example:
        >>> layer = CalibratedScore(dtype="float32")
        >>> layer(tf.constant([[0.0]])).numpy()
        array([[0.5]], dtype=float32)
    """

    def build(self, input_shape):
        """Creates the temperature, the bias and the two thresholds."""
        del input_shape
        start = Calibration()
        self.temperature = self.add_weight(
            (), keras.initializers.Constant(start.temperature), trainable=False
        )
        self.bias = self.add_weight((), "zeros", trainable=False)
        self.thresholds = self.add_weight(
            (2,),
            keras.initializers.Constant(start.real_below),
            trainable=False,
        )

    def call(self, logits):
        """Divides by the temperature, adds the bias, and squashes."""
        return keras.ops.sigmoid(logits / self.temperature + self.bias)

    @property
    def calibration(self) -> Calibration:
        """The current temperature, thresholds and bias, as plain numbers."""
        real_below, fake_above = keras.ops.convert_to_numpy(self.thresholds)
        return Calibration(
            float(keras.ops.convert_to_numpy(self.temperature)),
            float(real_below),
            float(fake_above),
            float(keras.ops.convert_to_numpy(self.bias)),
        )

    @calibration.setter
    def calibration(self, new: Calibration) -> None:
        self.temperature.assign(new.temperature)
        self.bias.assign(new.bias)
        self.thresholds.assign([new.real_below, new.fake_above])


def score_layer(detector: keras.Model) -> CalibratedScore:
    """The layer of a detector that holds its calibration.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        Its last layer; read or set its `calibration`.
    """
    return detector.get_layer("fake_probability")


def verdicts(probability: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """Puts probabilities of fake into words.

    Args:
        probability: float `[N]`; NaN stands for an unreadable picture.
        thresholds: float `[2]`, the `real_below` and `fake_above` of a
            `Calibration`.

    Returns:
        string `[N]`: `real`, `fake`, `uncertain` or `unreadable`.
    """
    real, fake, uncertain, unreadable = VERDICTS
    decided = tf.where(
        probability < thresholds[0],
        real,
        tf.where(probability > thresholds[1], fake, uncertain),
    )
    return tf.where(tf.math.is_nan(probability), unreadable, decided)


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
        `features`, `features_norm`, `features_dropout`, `logit` and
        `fake_probability` at its end.

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
    features = MeanOfViews(name="features", dtype="float32")(x)
    x = keras.layers.BatchNormalization(
        center=False,
        scale=False,
        epsilon=1e-12,
        trainable=False,
        dtype="float32",
        name="features_norm",
    )(features)
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
