"""From raw logits to honest probabilities and verdicts, on validation data.

Temperature and bias change how sure the scores are, never their order. So a
verdict depends only on where an image's logit ranks among those of validation,
and fitting scaling and thresholds on the same images leaves the thresholds'
promise intact.
"""

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from dfk.errors import UserError

if TYPE_CHECKING:
    from dfk.models.head import Calibration

TEMPERATURES = (0.05, 20.0)
ERROR_RATE = 0.05


def fit(
    logits: np.ndarray, labels: np.ndarray, error_rate: float = ERROR_RATE
) -> "Calibration":
    """Fits everything that a detector's `fake_probability` layer carries.

    Args:
        logits: float `[N]` or `[N, 1]`, the detector's raw logits of
            validation images.
        labels: int `[N]`, 0 for real and 1 for fake.
        error_rate: the share of each class, in 0..1, that may get the wrong
            verdict.

    Returns:
        Temperature, bias and thresholds, to be set as `score_layer(detector)
        .calibration`.

    Raises:
        UserError: a class has no images.

    Example:
        >>> score_layer(detector).calibration = fit(logits, labels)
    """
    from dfk.models.head import CalibratedScore, Calibration

    logits, labels = np.ravel(logits).astype(np.float32), np.ravel(labels)
    temperature, bias = fit_scaling(logits, labels)
    # The layer itself computes the probabilities, so that the thresholds are
    # compared later with numbers rounded in the very same way.
    layer = CalibratedScore()
    layer.build((None, 1))
    layer.calibration = Calibration(temperature, bias=bias)
    probabilities = np.asarray(layer(logits[:, None]))[:, 0]
    thresholds = conformal_thresholds(probabilities, labels, error_rate)
    return Calibration(temperature, *thresholds, bias=bias)


def fit_scaling(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Finds how logits must be scaled to be the least surprised by labels.

    Minimises the negative log-likelihood of `logits / temperature + bias`:
    Platt scaling. A temperature alone cannot help a detector that leans to
    one side. Platt's targets, `(n + 1) / (n + 2)` for a class of n images
    instead of 1, keep the minimum finite where the classes are perfectly
    separated: plain labels would ask for a temperature of zero, and scores of
    exactly 0 and 1.

    Args:
        logits: float `[N]`.
        labels: int `[N]`, 0 for real and 1 for fake.

    Returns:
        The temperature, within `TEMPERATURES`, and the bias. The temperature
        ends at its upper bound for logits that know nothing about the labels.

    Raises:
        UserError: a class has no images.

    Reference:
        Platt, "Probabilistic Outputs for Support Vector Machines", 1999;
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Example:
        >>> logits = np.array([-4.0, 4.0] * 50)  # as if right 98 times of 100
        >>> labels = np.array([0, 1] * 40 + [1, 0] * 10)  # right 80 times
        >>> temperature, bias = fit_scaling(logits, labels)
        >>> round(temperature, 1), round(abs(bias), 1)
        (3.0, 0.0)
    """
    logits = np.asarray(logits, np.float64)
    fakes = int(np.sum(labels))
    reals = len(labels) - fakes
    _need_both(reals, fakes)
    targets = np.where(labels, (fakes + 1) / (fakes + 2), 1 / (reals + 2))

    # In slope and bias the problem is convex; in temperature it is not.
    def surprise(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, bias = parameters
        x = slope * logits + bias
        error = special.expit(x) - targets
        gradient = np.array([np.mean(error * logits), np.mean(error)])
        return float(np.mean(np.logaddexp(0, x) - targets * x)), gradient

    low, high = TEMPERATURES
    slope, bias = optimize.minimize(
        surprise,
        x0=[1.0, 0.0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(1 / high, 1 / low), (None, None)],
    ).x
    return float(1 / slope), float(bias)


def conformal_thresholds(
    probabilities: np.ndarray,
    labels: np.ndarray,
    error_rate: float = ERROR_RATE,
) -> tuple[float, float]:
    """Finds between which probabilities the verdict must be `uncertain`.

    Class-conditional (Mondrian) split conformal prediction. Let t be the
    k-th smallest probability of fake among n real images of validation, k =
    ceil((n + 1) (1 - error_rate)). A new real image, exchangeable with them,
    has one above t with a chance of at most the error rate. So `real` stays
    possible up to t, and `fake` likewise down to the k-th largest probability
    among the fakes. Where exactly one label is possible it is the verdict;
    where both or none are, the verdict is `uncertain`.

    The promise: of all real images at most `error_rate` are called fake on
    average, and of all fakes at most as many are called real. It holds for
    images like those of validation, as far as these were not used to train
    or choose the detector, and are no near copies of each other.

    Args:
        probabilities: float32 `[N]` in 0..1, probabilities of fake.
        labels: int `[N]`, 0 for real and 1 for fake.
        error_rate: the share of each class, in 0..1, that may get the wrong
            verdict.

    Returns:
        `real_below` and `fake_above`, exact in float32. A class of fewer than
        `needed(error_rate)` images cannot be ruled out anywhere, so that the
        other is never a verdict; with two such classes the thresholds are 0
        and 1, and every image is uncertain.

    Raises:
        UserError: a class has no images.

    Reference:
        Angelopoulos and Bates, "A Gentle Introduction to Conformal
        Prediction", 2021, arXiv:2107.07511, section 4.2; Vovk,
        "Conditional Validity of Inductive Conformal Predictors", ACML 2012.

    Example:
        >>> conformal_thresholds(
        ...     np.float32([0.1, 0.2, 0.7, 0.4, 0.8, 0.9]),
        ...     np.array([0, 0, 0, 1, 1, 1]),
        ...     error_rate=0.25,
        ... )
        (0.4000000059604645, 0.699999988079071)
    """
    probabilities = np.asarray(probabilities, np.float32)
    labels = np.asarray(labels)
    reals, fakes = probabilities[labels == 0], probabilities[labels == 1]
    _need_both(len(reals), len(fakes))
    # Order statistics of the scores themselves: `1 - p` would round.
    real_up_to = _quantile(reals, error_rate)
    fake_down_to = -_quantile(-fakes, error_rate)
    # `real` needs p <= real_up_to and p < fake_down_to. Strict comparison
    # with the next float32 is the same as <= with this one.
    after = np.nextafter(real_up_to, np.float32(np.inf))
    before = np.nextafter(fake_down_to, np.float32(-np.inf))
    real_below = min(after, fake_down_to)
    fake_above = max(before, real_up_to)
    return float(max(real_below, 0.0)), float(min(fake_above, 1.0))


def needed(error_rate: float = ERROR_RATE) -> int:
    """How many validation images of each class verdicts need.

    Args:
        error_rate: the share of each class, in 0..1, that may get the wrong
            verdict.

    Returns:
        The smallest n with ceil((n + 1) (1 - error_rate)) <= n.

    Raises:
        UserError: the error rate is not between 0 and 1.

    Example:
        >>> needed(0.05)
        19
    """
    return math.ceil(1 / _exact(error_rate)) - 1


def _quantile(scores: np.ndarray, error_rate: float) -> np.float32:
    rank = math.ceil((len(scores) + 1) * (1 - _exact(error_rate)))
    if rank > len(scores):
        return np.float32(np.inf)
    return np.partition(scores, rank - 1)[rank - 1]


def _exact(error_rate: float) -> Fraction:
    """0.05 as 1/20: a rounded product could miss the rank by one."""
    if not 0 < error_rate < 1:
        raise UserError(
            "An error rate lies between 0 and 1, 0.05 for 5 %. Received: "
            f"error_rate={error_rate}."
        )
    return Fraction(str(error_rate))


def _need_both(reals: int, fakes: int) -> None:
    if not (reals and fakes):
        raise UserError(
            "Calibration needs validation images of both classes, but there "
            f"are {reals} real and {fakes} fake ones."
        )
