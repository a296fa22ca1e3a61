"""The temperature and the bias that turn raw logits into log-odds."""

import numpy as np
from scipy import optimize, special
from sklearn.model_selection import StratifiedKFold

from dfk.models.conformal import require_both_classes

TEMPERATURES = (0.05, 20.0)
FOLDS = 5

# The prior's standard deviations: of the slope around 1, of the bias around 0,
# as they vary among detectors; see benchmarks/recipes.md.
_SLOPE_DEVIATION = 0.5
_BIAS_DEVIATION = 0.5


def fit_scaling(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Finds the scaling under which the labels are most likely.

    Minimises the negative log-likelihood (NLL) of the labels under
    `logits / temperature + bias`. A temperature alone (Guo et al.) is the safer
    choice on few images, but cannot help a detector that favours one class. The
    bias (Platt) is used where it lowers the NLL in cross-validation. Isotonic
    regression, the usual third method, makes different scores equal, but the
    limits of the verdicts need their order.

    Few images can say little, and the logits of a trained head are nearly
    log-odds already. So a weak normal prior holds slope and bias near 1 and 0;
    a few hundred images outweigh it.

    Args:
        logits: float `[N]`.
        labels: int `[N]`, 0 for real and 1 for fake.
        weights: float `[N]` with the mean 1; all 1 if None.

    Returns:
        The temperature, within `TEMPERATURES`, and the bias, 0 where it does
        not lower the NLL.

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
    require_both_classes(len(labels) - fakes, fakes)
    if weights is None:
        weights = np.ones(len(labels))
    with_bias = _bias_helps(logits, labels, weights)
    return _minimize(logits, labels, weights, with_bias)


def _bias_helps(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> bool:
    """Whether a bias lowers the NLL of images it was not fitted to."""
    folds = min(FOLDS, *np.bincount(labels, minlength=2))
    if folds < 2:
        return False
    nll = {True: 0.0, False: 0.0}
    splits = StratifiedKFold(folds, shuffle=True, random_state=0)
    for fit_on, test_on in splits.split(logits, labels):
        for with_bias in nll:
            temperature, bias = _minimize(
                logits[fit_on], labels[fit_on], weights[fit_on], with_bias
            )
            x = logits[test_on] / temperature + bias
            nll[with_bias] += weights[test_on] @ _nll(x, labels[test_on])
    return nll[True] < nll[False]


def _minimize(
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    with_bias: bool,
) -> tuple[float, float]:
    slope_precision, bias_precision = _SLOPE_DEVIATION**-2, _BIAS_DEVIATION**-2

    # The problem is convex in slope and bias, not in temperature and bias.
    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, bias = parameters
        x = slope * logits + bias
        error = weights * (special.expit(x) - labels)
        gradient = [
            np.sum(error * logits) + slope_precision * (slope - 1),
            np.sum(error) + bias_precision * bias,
        ]
        prior = slope_precision * (slope - 1) ** 2 + bias_precision * bias**2
        loss = weights @ _nll(x, labels) + prior / 2
        return loss / len(x), np.array(gradient) / len(x)

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


def _nll(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of labels under logits x."""
    return np.logaddexp(0, x) - labels * x
