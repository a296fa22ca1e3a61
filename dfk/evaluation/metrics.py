"""How good a detector's scores are, and how well they are calibrated.

Labels are 0 for real and 1 for fake, and `fake` is the positive class.

Example:
    >>> metrics = with_intervals(labels, probabilities, groups)
    >>> metrics["roc_auc"]
    {'value': 0.959, 'low': 0.934, 'high': 0.978}
"""

import numpy as np
from sklearn.metrics import (
    auc,
    confusion_matrix,
    confusion_matrix_at_thresholds,
    roc_curve,
)

from dfk.data.folders import LABELS
from dfk.evaluation.statistics import SEED, Statistics, estimates

TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "eer": "equal error rate",
    "f1": "F1",
    "brier": "Brier score",
}
# An image is called fake above this probability.
THRESHOLD = 0.5
# Of the reliability curve.
BINS = 15
# Of labels, to see by how much chance alone moves that curve.
DRAWS = 1000


def measure(
    labels: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray | None = None,
) -> Statistics:
    """Computes every metric of `TITLES`, without intervals.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        weights: float `[N]`, how often each image counts; once by default.

    Returns:
        The metrics by name. Without images of both classes only the accuracy
        and the Brier score (the mean squared error of the probabilities) are
        defined, and the others are None.

    Example:
        >>> measure(np.array([0, 1]), np.array([0.1, 0.9]))["accuracy"]
        1.0
    """
    # A bootstrap comes here thousands of times, so scikit-learn's functions,
    # each of which checks and sorts everything again, are called once.
    if weights is None:
        weights = np.ones(len(labels))
    is_fake, called_fake = labels == 1, probabilities > THRESHOLD
    tp, fp = (weights[called_fake & of].sum() for of in (is_fake, ~is_fake))
    fakes, reals = weights[is_fake].sum(), weights[~is_fake].sum()
    fn, tn = fakes - tp, reals - fp
    metrics: Statistics = dict.fromkeys(TITLES)
    metrics["accuracy"] = float((tn + tp) / weights.sum())
    errors = (probabilities - labels) ** 2
    metrics["brier"] = float(np.average(errors, weights=weights))
    if not (fakes and reals):
        return metrics
    _, fps, _, tps, _ = confusion_matrix_at_thresholds(
        labels, probabilities, pos_label=1, sample_weight=weights
    )
    fpr, tpr = np.append(0, fps / reals), np.append(0, tps / fakes)
    metrics["balanced_accuracy"] = float(tn / reals + tp / fakes) / 2
    metrics["roc_auc"] = float(auc(fpr, tpr))
    precision = tps / (tps + fps)
    metrics["average_precision"] = float(np.diff(tpr) @ precision)
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
    """The balanced accuracy of the best threshold, if one knew it.

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
) -> dict[str, Statistics]:
    """Computes every metric of `TITLES` with its 95 % interval.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        groups: `[N]`, images of one group (a person, a video) stay together.

    Returns:
        For each name `value`, `low` and `high`; None where undefined.

    Example:
        >>> with_intervals(labels, probabilities, groups)["accuracy"]
        {'value': 0.89, 'low': 0.86, 'high': 0.92}
    """
    return estimates(
        measure(labels, probabilities),
        lambda weights: measure(labels, probabilities, weights),
        groups,
    )


def confusion(
    labels: np.ndarray, probabilities: np.ndarray
) -> dict[str, dict[str, int]]:
    """Counts what was called what.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.

    Returns:
        The number of images by what they are, then by what they were called.

    Example:
        >>> confusion(np.array([0, 1]), np.array([0.9, 0.9]))
        {'real': {'real': 0, 'fake': 1}, 'fake': {'real': 0, 'fake': 1}}
    """
    counts = confusion_matrix(labels, probabilities > THRESHOLD, labels=[0, 1])
    return {
        true: dict(zip(LABELS, row, strict=True))
        for true, row in zip(LABELS, counts.tolist(), strict=True)
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
        of all images that got the `wrong` verdict, which the error rate of
        the thresholds limits. None where it would divide by zero.

    Example:
        >>> verdict_table(np.array([1, 1]), np.array(["fake", "uncertain"]))[
        ...     "fake"
        ... ]
        {'images': 2, 'uncertain': 0.5, 'accuracy': 1.0, 'wrong': 0.0}
    """
    correct = verdicts == np.array(LABELS)[labels]
    uncertain = verdicts == "uncertain"
    everything = np.ones(len(labels), bool)
    chosen = {"real": labels == 0, "fake": labels == 1, "all": everything}
    return {
        name: {
            "images": int(rows.sum()),
            "uncertain": share(uncertain, rows),
            "accuracy": share(correct, rows & ~uncertain),
            "wrong": share(~(correct | uncertain), rows),
        }
        for name, rows in chosen.items()
    }


def share(which: np.ndarray, weights: np.ndarray) -> float | None:
    """The share of images of which something is true.

    Args:
        which: bool `[N]`.
        weights: `[N]`, how often each image counts.

    Returns:
        0..1, or None where none counts.

    Example:
        >>> share(np.array([True, False, False]), np.array([1, 1, 0]))
        0.5
    """
    return float(np.average(which, weights=weights)) if weights.any() else None


def reliability_bins(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> dict[str, np.ndarray]:
    """Puts images with similar scores together, equally many into each bin.

    Bins of equal width would leave most of them empty: a good detector's
    scores crowd at both ends.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        bins: how many; no more than there are images.

    Returns:
        Arrays `[B]` from the lowest scores to the highest: `images`, how many
        the bin holds; `predicted`, their mean probability; and `observed`,
        the share of fakes among them.

    Reference:
        Nguyen & O'Connor, "Posterior calibration and exploratory analysis for
        natural language processing models", EMNLP 2015, section 3 (bins of
        equal mass).

    Example:
        >>> reliability_bins(np.array([0, 1]), np.array([0.2, 0.9]), bins=2)
        {'images': array([1, 1]), 'predicted': array([0.2, 0.9]), ...}
    """
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return {
        "images": np.array([len(part) for part in parts]),
        "predicted": np.array([np.mean(probabilities[p]) for p in parts]),
        "observed": np.array([np.mean(labels[p]) for p in parts]),
    }


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """The mean distance between predicted and observed shares of fakes.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        bins: of equal mass; see `reliability_bins`.

    Returns:
        0..1: `|predicted - observed|`, averaged over the images.

    Reference:
        Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian
        Binning", AAAI 2015.

    Example:
        >>> expected_calibration_error(np.array([0, 1]), np.array([0.5, 0.5]))
        0.5
    """
    table = reliability_bins(labels, probabilities, bins)
    distances = np.abs(table["predicted"] - table["observed"])
    return float(np.average(distances, weights=table["images"]))


def calibrated_error(probabilities: np.ndarray) -> tuple[float, float]:
    """The calibration error that perfect calibration would show by chance.

    With few images in a bin, the share of fakes among them deviates from its
    expectation even if the probabilities are perfect. The error is therefore
    never zero, and only one above this means anything.

    Args:
        probabilities: float `[N]` in 0..1, the probabilities of fake.

    Returns:
        The mean and the 95 % quantile of the error, over labels that are
        drawn from the probabilities themselves.

    Reference:
        Vaicenavicius et al., "Evaluating model calibration in classification",
        AISTATS 2019, section 5 (consistency resampling, after Broecker &
        Smith 2007).

    Example:
        >>> calibrated_error(np.full(300, 0.5))
        (0.09..., 0.12...)
    """
    rng = np.random.default_rng(SEED)
    errors = [
        expected_calibration_error(
            rng.random(len(probabilities)) < probabilities, probabilities
        )
        for _ in range(DRAWS)
    ]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))
