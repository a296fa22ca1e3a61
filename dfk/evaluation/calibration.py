"""From raw logits to honest probabilities and verdicts, on validation data.

Temperature and bias change how sure the scores are, never their order. So a
verdict depends only on where an image's logit ranks among those of validation,
and fitting scaling and limits on the same images leaves the limits' promise
intact.
"""

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special
from sklearn.model_selection import StratifiedKFold

from dfk.evaluation.conformal import (
    ERROR_RATE,
    conformal_limits,
    need_both,
    upper_quantile,
)

if TYPE_CHECKING:
    from dfk.models.verdicts import Calibration

TEMPERATURES = (0.05, 20.0)
FOLDS = 5

# Standard deviations of slope (about 1) and bias (about 0) among detectors,
# before validation has spoken; see benchmarks/recipes.md.
_SLOPES = 0.5
_BIASES = 0.5


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
        All of it, to be set as `score_layer(detector).calibration`.

    Raises:
        UserError: a class has no images.

    Example:
        >>> score_layer(detector).calibration = fit(logits, labels)
    """
    from dfk.models.verdicts import ALARM_RATES, CalibratedScore, Calibration

    logits, labels = np.ravel(logits).astype(np.float32), np.ravel(labels)
    temperature, bias = fit_scaling(logits, labels)
    # The layer itself computes the probabilities, so that the limits are
    # compared later with numbers rounded in the very same way.
    layer = CalibratedScore()
    layer.build((None, 1))
    layer.calibration = Calibration(temperature, bias)
    probabilities = np.asarray(layer(logits[:, None]))[:, 0]
    reals = probabilities[labels == 0]
    alarms = [min(upper_quantile(reals, rate), 1.0) for rate in ALARM_RATES]
    return Calibration(
        temperature,
        bias,
        *conformal_limits(probabilities, labels, error_rate),
        error_rate,
        tuple(map(float, alarms)),
        (len(reals), len(labels) - len(reals)),
    )


def fit_scaling(
    logits: np.ndarray, labels: np.ndarray, log_odds: bool = True
) -> tuple[float, float]:
    """Finds how logits must be scaled to be the least surprised by labels.

    Minimises the negative log-likelihood of `logits / temperature + bias`. A
    temperature alone (Guo et al.) is the safer choice on few images, but
    cannot help a detector that leans to one side; the bias (Platt) is used
    where cross-validation finds the labels less surprising with it. Isotonic
    regression, the usual third, ties scores to each other: the verdicts'
    limits need their order.

    Few images can say little, and a trained head's logits are nearly log-odds
    already, so slope and bias are held near 1 and 0 by a weak normal prior,
    which a few hundred images outvote.

    Args:
        logits: float `[N]`.
        labels: int `[N]`, 0 for real and 1 for fake.
        log_odds: the logits are log-odds, if poor ones. For a classifier's
            scores of any scale there is no prior; `platts_targets` then keep
            the minimum finite where the classes are perfectly separated.

    Returns:
        The temperature, within `TEMPERATURES`, and the bias, 0 where it does
        not pay.

    Raises:
        UserError: a class has no images.

    Reference:
        Platt, "Probabilistic Outputs for Support Vector Machines", 1999;
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Example:
        >>> logits = np.array([-4.0, 4.0] * 50)  # as if right 98 times of 100
        >>> labels = np.array([0, 1] * 40 + [1, 0] * 10)  # right 80 times
        >>> temperature, bias = fit_scaling(logits, labels)
        >>> round(temperature, 1), bias
        (2.8, 0.0)
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    fakes = int(np.sum(labels))
    need_both(len(labels) - fakes, fakes)
    with_bias = _bias_pays(logits, labels, log_odds)
    return _minimize(logits, labels, with_bias, log_odds)


def _bias_pays(logits: np.ndarray, labels: np.ndarray, log_odds: bool) -> bool:
    folds = min(FOLDS, *np.bincount(labels, minlength=2))
    if folds < 2:
        return False
    surprise = {True: 0.0, False: 0.0}
    splits = StratifiedKFold(folds, shuffle=True, random_state=0)
    for fit_on, try_on in splits.split(logits, labels):
        for with_bias in surprise:
            temperature, bias = _minimize(
                logits[fit_on], labels[fit_on], with_bias, log_odds
            )
            x = logits[try_on] / temperature + bias
            surprise[with_bias] += _surprise(x, labels[try_on]).sum()
    return surprise[True] < surprise[False]


def _minimize(
    logits: np.ndarray, labels: np.ndarray, with_bias: bool, log_odds: bool
) -> tuple[float, float]:
    targets = labels if log_odds else platts_targets(labels)
    # How much a slope away from 1 and a bias away from 0 count.
    at_one, at_zero = (_SLOPES**-2, _BIASES**-2) if log_odds else (0.0, 0.0)

    # In slope and bias the problem is convex; in temperature it is not.
    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, bias = parameters
        x = slope * logits + bias
        error = special.expit(x) - targets
        gradient = [
            np.sum(error * logits) + at_one * (slope - 1),
            np.sum(error) + at_zero * bias,
        ]
        unlikely = at_one * (slope - 1) ** 2 + at_zero * bias**2
        surprise = np.sum(_surprise(x, targets)) + unlikely / 2
        return surprise / len(x), np.array(gradient) / len(x)

    low, high = TEMPERATURES
    free = (None, None) if with_bias else (0, 0)
    slope, bias = optimize.minimize(
        objective,
        x0=[1.0, 0.0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(1 / high, 1 / low), free],
    ).x
    return float(1 / slope), float(bias)


def platts_targets(labels: np.ndarray) -> np.ndarray:
    """What labels 0 and 1 of few images are worth: not quite 0 and 1.

    For a class of n images (n + 1) / (n + 2) instead of 1 (Platt 1999).

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.

    Returns:
        float `[N]`, between 0 and 1.
    """
    fakes = int(np.sum(labels))
    reals = len(labels) - fakes
    return np.where(labels, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


def _surprise(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of targets in 0..1 under logits x."""
    return np.logaddexp(0, x) - targets * x
