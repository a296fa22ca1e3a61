"""What a detector's scores are worth, each number with its interval.

Labels are 0 for real and 1 for fake, and `fake` is the positive class.

Example:
    >>> metrics = with_intervals(labels, probabilities, groups)
    >>> metrics["roc_auc"]
    {'value': 0.959, 'low': 0.934, 'high': 0.978}
"""

import numpy as np
from sklearn.metrics import (
    auc,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    roc_curve,
)

from dfk.evaluation.bootstrap import (
    RESAMPLES,
    Interval,
    Statistics,
    bootstrap,
)

NAMES = (
    "accuracy",
    "balanced_accuracy",
    "roc_auc",
    "average_precision",
    "eer",
    "f1",
    "brier",
)
CLASSES = ("real", "fake")
THRESHOLD = 0.5


def measure(
    labels: np.ndarray,
    probabilities: np.ndarray,
    threshold: float = THRESHOLD,
    weights: np.ndarray | None = None,
) -> Statistics:
    """Computes every metric of `NAMES`, without intervals.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        threshold: an image counts as called fake above this probability.
        weights: float `[N]`, how often each image counts; once by default.

    Returns:
        The metrics by name. Without images of both classes only the accuracy
        and the Brier score (the mean squared error of the probabilities) are
        defined, and the others are None.

    Example:
        >>> measure(np.array([0, 1]), np.array([0.1, 0.9]))["accuracy"]
        1.0
    """
    counts = confusion_matrix(
        labels, probabilities > threshold, labels=[0, 1], sample_weight=weights
    )
    (tn, fp), (fn, tp) = counts
    metrics: Statistics = dict.fromkeys(NAMES)
    metrics["accuracy"] = float((tn + tp) / counts.sum())
    metrics["brier"] = float(
        brier_score_loss(
            labels, probabilities, sample_weight=weights, pos_label=1
        )
    )
    if not (tn + fp and fn + tp):
        return metrics
    fpr, tpr, _ = roc_curve(
        labels, probabilities, sample_weight=weights, drop_intermediate=False
    )
    metrics["balanced_accuracy"] = float(tn / (tn + fp) + tp / (fn + tp)) / 2
    metrics["roc_auc"] = float(auc(fpr, tpr))
    metrics["average_precision"] = float(
        average_precision_score(labels, probabilities, sample_weight=weights)
    )
    metrics["eer"] = equal_error_rate(fpr, tpr)
    metrics["f1"] = float(2 * tp / (2 * tp + fp + fn))
    return metrics


def equal_error_rate(fpr: np.ndarray, tpr: np.ndarray) -> float:
    """Finds where as many reals are called fake as fakes are called real.

    Args:
        fpr: float `[K]`, the false positive rates of a ROC curve, from 0 to 1.
        tpr: float `[K]`, its true positive rates.

    Returns:
        The rate in 0..1, on the straight line between the two points of the
        curve that enclose it.

    Example:
        >>> equal_error_rate(np.array([0.0, 0.0, 1.0]), np.array([0, 0.8, 1]))
        0.1666...
    """
    # Every step along a ROC curve raises fpr or tpr, so their sum rises
    # strictly, as np.interp needs.
    return float(np.interp(0.0, fpr + tpr - 1, fpr))


def best_balanced_accuracy(
    labels: np.ndarray, probabilities: np.ndarray
) -> float | None:
    """What the best threshold would give, if one knew it.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.

    Returns:
        0.5..1, or None without images of both classes.

    Example:
        >>> best_balanced_accuracy(np.array([0, 1]), np.array([0.7, 0.8]))
        1.0
    """
    if len(np.unique(labels)) < 2:
        return None
    fpr, tpr, _ = roc_curve(labels, probabilities)
    return float(np.max(tpr + 1 - fpr) / 2)


def with_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    threshold: float = THRESHOLD,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Computes every metric of `NAMES` with its 95 % interval.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        groups: `[N]`, images of one group (a person, a video) stay together.
        threshold: an image counts as called fake above this probability.
        resamples: how many resamples of the groups to draw.
        seed: the same seed gives the same intervals.

    Returns:
        For each name `value`, `low` and `high`; None where undefined.

    Example:
        >>> with_intervals(labels, probabilities, groups)["accuracy"]
        {'value': 0.89, 'low': 0.86, 'high': 0.92}
    """
    values = measure(labels, probabilities, threshold)
    bounds = bootstrap(
        lambda weights: measure(labels, probabilities, threshold, weights),
        groups,
        resamples,
        seed,
    )
    return {
        name: {"value": values[name], "low": low, "high": high}
        for name, (low, high) in bounds.items()
    }


def confusion(
    labels: np.ndarray,
    probabilities: np.ndarray,
    threshold: float = THRESHOLD,
) -> dict[str, dict[str, int]]:
    """Counts what was called what.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        threshold: an image counts as called fake above this probability.

    Returns:
        The number of images by what they are, then by what they were called.

    Example:
        >>> confusion(np.array([0, 1]), np.array([0.9, 0.9]))
        {'real': {'real': 0, 'fake': 1}, 'fake': {'real': 0, 'fake': 1}}
    """
    counts = confusion_matrix(labels, probabilities > threshold, labels=[0, 1])
    return {
        true: dict(zip(CLASSES, row, strict=True))
        for true, row in zip(CLASSES, counts.tolist(), strict=True)
    }


def verdict_table(
    labels: np.ndarray, verdicts: np.ndarray
) -> dict[str, dict[str, int | float | None]]:
    """Counts the verdicts of each class, and how many of them were right.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        verdicts: str `[N]`: `real`, `fake` or `uncertain`.

    Returns:
        For `real`, `fake` and `all`: the number of `images`; the share that
        is `uncertain`; the `accuracy` among the decided ones; and the share
        of all images that got the `wrong` verdict, which is what the error
        rate of the thresholds bounds. None where it would divide by zero.

    Example:
        >>> verdict_table(np.array([1, 1]), np.array(["fake", "uncertain"]))[
        ...     "fake"
        ... ]
        {'images': 2, 'uncertain': 0.5, 'accuracy': 1.0, 'wrong': 0.0}
    """
    correct = verdicts == np.array(CLASSES)[labels]
    uncertain = verdicts == "uncertain"
    chosen = {
        "real": labels == 0,
        "fake": labels == 1,
        "all": np.ones_like(labels, bool),
    }
    return {
        name: _verdict_row(correct[rows], uncertain[rows])
        for name, rows in chosen.items()
    }


def _verdict_row(
    correct: np.ndarray, uncertain: np.ndarray
) -> dict[str, int | float | None]:
    wrong = ~correct & ~uncertain
    return {
        "images": len(correct),
        "uncertain": _share(uncertain.sum(), len(correct)),
        "accuracy": _share(correct.sum(), (~uncertain).sum()),
        "wrong": _share(wrong.sum(), len(correct)),
    }


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
