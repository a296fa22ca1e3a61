"""How much each detector's word counts: stacking on few validation images.

A stack is a weighted sum of logits. Fitted freely on a hundred images it
would learn their accidents along with which detector is the better one. So it
leaves the plain mean only as far as the images insist:

1. Every part's logits, of whatever scale, are scaled on validation first
   (`dfk.models.calibration.fit_scaling`). They are log-odds then,
   and the plain mean of log-odds is a sensible answer without any fit. The
   logits of a part that knows nothing are scaled down to almost nothing.
2. The weights are a logistic regression's, at least 0 (Breiman 1996: a
   negative weight is nearly always an accident), and drawn towards their own
   mean by a normal prior. Their sum is free: parts that agree by different
   ways are surer together than each alone.

Whether such a stack is worth more than one detector is measured by its log
loss on held-out folds of the same images.

Reference:
    Wolpert, "Stacked Generalization", Neural Networks 1992; Breiman, "Stacked
    Regressions", Machine Learning 1996; Genest & Zidek, "Combining Probability
    Distributions", Statistical Science 1986 (pooling of log-odds).
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from dfk.errors import UserError
from dfk.models.calibration import fit_scaling, platts_targets

# The prior's deviation in shares of the mean weight. In simulations with 100
# images and 2 to 4 parts of ROC AUC .5 to .98, errors correlated by .3 and
# .6, half as much cost up to .007 of AUC where parts were unequal, and no
# prior cost .0007 where they were alike; 1 was near the best everywhere.
SPREAD = 1.0
FOLDS = 5
# One division into folds is a matter of luck, the mean of several less so.
REPEATS = 5


@dataclass(frozen=True)
class Stack:
    """A weighted sum of the parts' logits.

    Args:
        weights: float `[K]`, of the raw logits.
        bias: is added to the sum.
        shares: float `[K]`, each part's share of the sum in 0..1 once the
            logits are scaled alike. This is what the weights mean.
    """

    weights: np.ndarray
    bias: float
    shares: np.ndarray

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Logits of the parts `[N, K]` to calibrated logits `[N]`."""
        return logits @ self.weights + self.bias


def fit(logits: np.ndarray, labels: np.ndarray) -> Stack:
    """Fits weights and bias.

    Args:
        logits: float `[N, K]`, each part's raw logits of validation images.
        labels: int `[N]`, 0 for real and 1 for fake.

    Returns:
        The stack. One part alone is scaled, and nothing else.

    Raises:
        UserError: a class has no images.

    Example:
        >>> fit(np.stack([facenet, cnn], axis=1), labels).shares
        array([0.71, 0.29])
    """
    scales, biases = np.transpose(
        [
            fit_scaling(part, labels, log_odds=False)
            for part in np.transpose(logits)
        ]
    )
    scaled = logits / scales + biases
    weights, bias = _shrunk_regression(scaled, labels)
    return Stack(
        weights / scales, bias + weights @ biases, weights / weights.sum()
    )


def _shrunk_regression(
    logits: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, float]:
    """The most probable weights and bias, given images and prior."""
    parts = logits.shape[1]
    # Finite where classes are separated.
    targets = platts_targets(labels)
    precision = (parts / SPREAD) ** 2

    def surprise(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        x = logits @ weights + bias
        apart = weights - weights.mean()
        error = special.expit(x) - targets
        value = np.sum(np.logaddexp(0, x) - targets * x)
        gradient = np.append(error @ logits + precision * apart, error.sum())
        return value + precision * apart @ apart / 2, gradient

    found = optimize.minimize(
        surprise,
        x0=[*[1 / parts] * parts, 0.0],
        jac=True,
        method="L-BFGS-B",
        # Not quite 0, so that even the shares of useless parts are numbers.
        bounds=[*[(1e-6, None)] * parts, (None, None)],
    ).x
    return found[:-1], float(found[-1])


def divide(
    labels: np.ndarray, groups: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divides images into folds, several times over.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, images of one group stay in one fold.

    Returns:
        For each fold the numbers of the images outside and inside of it.

    Raises:
        UserError: there are too few groups to hold any out.
    """
    smallest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if smallest < 2:
        raise UserError(
            "Choosing between detectors needs validation pictures of at least "
            f"two groups of each class. Received: {smallest}."
        )
    folds = min(FOLDS, smallest)
    return [
        fold
        for seed in range(REPEATS)
        for fold in StratifiedGroupKFold(
            folds, shuffle=True, random_state=seed
        ).split(labels, labels, groups)
    ]


def held_out_logits(
    logits: np.ndarray,
    labels: np.ndarray,
    divisions: list[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """What stacks say of images that they were not fitted on.

    Args:
        logits: float `[N, K]`, raw logits of the parts.
        labels: int `[N]`, 0 for real and 1 for fake.
        divisions: what `divide` returned, R times as many folds as there are
            in one division.

    Returns:
        float `[R, N]`, calibrated logits.

    Example:
        >>> held_out_logits(logits, labels, divide(labels, groups)).shape
        (5, 100)
    """
    answers, numbers = [], []
    for fitting, held_out in divisions:
        stack = fit(logits[fitting], labels[fitting])
        answers.append(stack(logits[held_out]))
        numbers.append(held_out)
    # Every division holds each image out once.
    order = np.argsort(np.concatenate(numbers), kind="stable")
    return np.concatenate(answers)[order].reshape(len(labels), -1).T


def loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """How surprised logits are by the labels.

    Args:
        logits: float `[R, N]`, what `held_out_logits` returned.
        labels: int `[N]`, 0 for real and 1 for fake.

    Returns:
        The log loss in nats an image.

    Example:
        >>> loss(held_out_logits(logits[:, [0]], labels, divisions), labels)
        0.31
    """
    truths = np.broadcast_to(labels, logits.shape)
    return float(log_loss(truths.ravel(), special.expit(logits).ravel()))
