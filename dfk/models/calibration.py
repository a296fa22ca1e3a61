"""From raw logits to calibrated probabilities, on validation data.

Temperature and bias change how sure the scores are, never their order. So a
verdict depends only on where an image's logit ranks among those of validation.
Scaling and limits can therefore be fitted on the same images without breaking
the limits' error-rate guarantee.
"""

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np

from dfk import FORMAT
from dfk.errors import UserError
from dfk.models.conformal import (
    ERROR_RATE,
    balanced,
    conformal_limits,
    required_images,
    upper_quantile,
)
from dfk.models.scaling import fit_scaling

# False alarm rates of the operating points that a detector carries.
ALARM_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.10)


@dataclass(frozen=True)
class Calibration:
    """What turns a logit into a probability, and a probability into a verdict.

    Args:
        temperature: the logit is divided by it (Guo et al., "On Calibration
            of Modern Neural Networks", ICML 2017).
        bias: is added to the divided logit, for a detector that favours one
            class (Platt, "Probabilistic Outputs for Support Vector Machines",
            1999).
        real_up_to: up to this probability of fake, an image can be real.
        fake_down_to: down to this probability, it can be fake. Where exactly
            one label is possible it is the verdict; elsewhere the verdict is
            `uncertain`.
        error_rate: the share of each class, in 0..1, that may get the wrong
            verdict. The two limits follow from it.
        alarms: for each of `ALARM_RATES`, the probability of fake that at most
            that share of the reals exceeds; 1 where validation has too few
            images to say.
        images: how many real and how many fake images all this was fitted to,
            which the detector was not trained on when it scored them.
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

    Args:
        format: the number of the detector's format, `dfk.FORMAT` of the dfk
            that built it. `dfk.models.load` refuses any other.

    Example:
        >>> layer = CalibratedScore(dtype="float32")
        >>> layer(tf.constant([[0.0]])).numpy()
        array([[0.5]], dtype=float32)
    """

    def __init__(self, format: int = FORMAT, **kwargs):
        super().__init__(**kwargs)
        self.format = format

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
        """Divides by the temperature, adds the bias, applies a sigmoid."""
        return keras.ops.sigmoid(logits / self.temperature + self.bias)

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"format": self.format}

    @property
    def calibration(self) -> Calibration:
        """The values of the weights, as plain numbers."""
        real_up_to, fake_down_to = self.limits.numpy().tolist()
        return Calibration(
            self.temperature.numpy().item(),
            self.bias.numpy().item(),
            real_up_to,
            fake_down_to,
            # 0.05 again, not what it is as a float32.
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


def fit(
    logits: np.ndarray,
    labels: np.ndarray,
    error_rate: float = ERROR_RATE,
    sources: np.ndarray | None = None,
) -> Calibration:
    """Fits all that a detector's `CalibratedScore` holds.

    Of several sources, each weighs the same within its class, and the limits
    are those of `conformal_limits`.

    Args:
        logits: float `[N]` or `[N, 1]`, the detector's raw logits of
            validation images.
        labels: int `[N]`, 0 for real and 1 for fake.
        error_rate: the share of each class, in 0..1, that may get the wrong
            verdict.
        sources: `[N]`, which data set each image is of; one, if None.

    Returns:
        The calibration, to be set as `score_layer(detector).calibration`.

    Raises:
        UserError: a class has no images.

    Example:
        >>> score_layer(detector).calibration = fit(logits, labels)
    """
    logits, labels = np.ravel(logits).astype(np.float32), np.ravel(labels)
    weights = balanced(labels, sources)
    temperature, bias = fit_scaling(logits, labels, weights)
    scores = probabilities(logits, Calibration(temperature, bias))
    reals, of_reals = scores[labels == 0], weights[labels == 0]
    alarms = [
        min(upper_quantile(reals, rate, of_reals), 1.0) for rate in ALARM_RATES
    ]
    return Calibration(
        temperature,
        bias,
        *conformal_limits(scores, labels, error_rate, sources),
        error_rate,
        tuple(map(float, alarms)),
        (len(reals), len(labels) - len(reals)),
    )


def probabilities(logits: np.ndarray, fitted: Calibration) -> np.ndarray:
    """The probabilities of fake that a detector gives with a calibration.

    The layer itself computes them, so that they are rounded as later in the
    detector, where they are compared with the limits.

    Args:
        logits: float `[N]`, raw logits.
        fitted: the calibration.

    Returns:
        float32 `[N]` in 0..1.

    Example:
        >>> probabilities(np.array([0.0]), Calibration())
        array([0.5], dtype=float32)
    """
    layer = CalibratedScore()
    layer.build((None, 1))
    layer.calibration = fitted
    return np.asarray(layer(logits.astype(np.float32)[:, None]))[:, 0]


def with_false_alarms(fitted: Calibration, rate: float) -> Calibration:
    """Moves the limit up to which an image can be real to an operating point.

    Only above it the verdict can be `fake`.

    Args:
        fitted: a detector's calibration.
        rate: the share of the reals that may be called fake at most, in 0..1.
            The highest of `ALARM_RATES` up to it is taken.

    Returns:
        The calibration with that point's limit.

    Raises:
        UserError: the rate is below or above all of these, or validation has
            too few reals for it.

    Example:
        >>> layer = score_layer(detector)
        >>> layer.calibration = with_false_alarms(layer.calibration, 0.01)
    """
    carried = [each for each in ALARM_RATES if each <= rate]
    if not carried or rate > max(ALARM_RATES):
        raise UserError(
            f"False alarms can be limited to between {min(ALARM_RATES):.1%} "
            f"and {max(ALARM_RATES):.0%} of the real pictures. Received: "
            f"{100 * rate:g}%."
        )
    reals, _ = fitted.images
    if reals < required_images(max(carried)):
        lowest = [r for r in ALARM_RATES if reals >= required_images(r)]
        remedy = f"pass {lowest[0]:.1%} or more" if lowest else "leave it out"
        raise UserError(
            f"The detector was calibrated on {reals} real pictures, too few to "
            f"limit false alarms to {rate:.1%}, which takes "
            f"{required_images(max(carried))}: {remedy}."
        )
    limit = fitted.alarms[ALARM_RATES.index(max(carried))]
    if rate <= fitted.error_rate:
        # The detector's own limit also protects each of several data sets.
        limit = max(limit, fitted.real_up_to)
    return dataclasses.replace(fitted, real_up_to=limit)
