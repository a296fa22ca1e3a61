"""From a logit to a probability, and from there to a verdict with a reason."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

VERDICTS = ("real", "fake", "uncertain", "unreadable")
# False alarm rates of the operating points that a detector carries.
ALARM_RATES = (0.01, 0.05, 0.10)

# Why a verdict is `uncertain` or `unreadable`.
UNFAMILIAR = "unlike the training pictures"
UNDECIDED = "too close to call"
NO_PICTURE = "not a picture that can be decoded"


@dataclass(frozen=True)
class Calibration:
    """What turns a logit into a probability, and a probability into a verdict.

    Args:
        temperature: the logit is divided by it (Guo et al., "On Calibration
            of Modern Neural Networks", ICML 2017).
        bias: is added to the divided logit, for a detector that leans to one
            side (Platt, "Probabilistic Outputs for Support Vector Machines",
            1999).
        real_up_to: up to this probability of fake, a picture may be real.
        fake_down_to: down to this one it may be fake. Where only one of the
            two may be, it is the verdict; else the verdict is `uncertain`.
        error_rate: the share of each class, in 0..1, that may get the wrong
            verdict; it decided on the two.
        alarms: for each of `ALARM_RATES`, the probability of fake above which
            at most that share of the reals lies; 1 where validation has too
            few images to say.
        images: how many real and fake ones of validation all this was fitted
            to.
    """

    temperature: float = 1.0
    bias: float = 0.0
    real_up_to: float = 0.5
    fake_down_to: float = 0.5
    error_rate: float = 0.05
    alarms: tuple[float, ...] = (1.0,) * len(ALARM_RATES)
    images: tuple[int, int] = (0, 0)

    @property
    def uncertain(self) -> tuple[float, float]:
        """The probabilities between which a verdict is `uncertain`."""
        low, high = sorted([self.real_up_to, self.fake_down_to])
        return low, high


@keras.saving.register_keras_serializable("dfk")
class CalibratedScore(keras.layers.Layer):
    """Logit `[N, 1]` to calibrated probability of fake `[N, 1]`, float32.

    Everything in a `Calibration` is a weight that no optimizer touches, so
    that it travels inside `.keras` files and SavedModels.

    Example:
        >>> layer = CalibratedScore(dtype="float32")
        >>> layer(tf.constant([[0.0]])).numpy()
        array([[0.5]], dtype=float32)
    """

    def build(self, input_shape):
        """Creates a weight for each part of the calibration."""
        del input_shape
        start = Calibration()
        self.temperature = self._constant(start.temperature)
        self.bias = self._constant(start.bias)
        self.limits = self._constant([start.real_up_to, start.fake_down_to])
        self.error_rate = self._constant(start.error_rate)
        self.alarms = self._constant(start.alarms)
        self.images = self._constant(start.images)

    def _constant(self, value):
        return self.add_weight(
            np.shape(value),
            lambda shape, dtype: keras.ops.convert_to_tensor(value, dtype),
            trainable=False,
        )

    def call(self, logits):
        """Divides by the temperature, adds the bias, and squashes."""
        return keras.ops.sigmoid(logits / self.temperature + self.bias)

    @property
    def calibration(self) -> Calibration:
        """What the weights hold now, as plain numbers."""
        real_up_to, fake_down_to = self.limits.numpy().tolist()
        return Calibration(
            self.temperature.numpy().item(),
            self.bias.numpy().item(),
            real_up_to,
            fake_down_to,
            # As it was stated: a float32 would show its rounding.
            round(self.error_rate.numpy().item(), 6),
            tuple(self.alarms.numpy().tolist()),
            tuple(map(int, self.images.numpy())),
        )

    @calibration.setter
    def calibration(self, new: Calibration) -> None:
        self.temperature.assign(new.temperature)
        self.bias.assign(new.bias)
        self.limits.assign([new.real_up_to, new.fake_down_to])
        self.error_rate.assign(new.error_rate)
        self.alarms.assign(new.alarms)
        self.images.assign(new.images)


def score_layer(detector: keras.Model) -> CalibratedScore:
    """The layer of a detector that holds its calibration.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        Its last layer; read or set its `calibration`.
    """
    return detector.get_layer("fake_probability")


def verdicts(
    probability: tf.Tensor, novelty: tf.Tensor, limits: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Puts probabilities of fake into words.

    Args:
        probability: float32 `[N]`; NaN stands for an unreadable picture.
        novelty: float32 `[N]`; above 1 is unlike the training pictures.
        limits: float32 `[2]`, the `real_up_to` and `fake_down_to` of a
            `Calibration`.

    Returns:
        `verdict`, string `[N]`: `real`, `fake`, `uncertain` or `unreadable`;
        and `reason`, string `[N]`: why it is neither `real` nor `fake`, or
        empty.

    Example:
        >>> verdicts(tf.constant([0.9]), tf.constant([0.4]), limits)["verdict"]
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'fake'])>
    """
    real, fake, uncertain, unreadable = VERDICTS
    may_be_real = probability <= limits[0]
    may_be_fake = probability >= limits[1]
    either = tf.where(may_be_real, real, fake)

    def choose(decided, undecided, unfamiliar, lost):
        one_only = tf.math.logical_xor(may_be_real, may_be_fake)
        words = tf.where(one_only, decided, undecided)
        words = tf.where(novelty > 1, unfamiliar, words)
        return tf.where(tf.math.is_nan(probability), lost, words)

    return {
        "verdict": choose(either, uncertain, uncertain, unreadable),
        "reason": choose("", UNDECIDED, UNFAMILIAR, NO_PICTURE),
    }
