"""Paired tests: two detectors, the same images.

What is hard for one detector tends to be hard for another, and drops out of
their difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dfk.evaluation.bootstrap import COVERAGE, resampled
from dfk.progress import track


@dataclass(frozen=True)
class AucDifference:
    """One mean ROC AUC less another.

    Args:
        value: the difference.
        low: the lower end of its 95 % interval.
        high: the upper end.
        p: of no difference; the level at which the interval just reaches 0.
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class McNemar:
    """How often exactly one of two detectors is right.

    Args:
        only_first: the number of images that only the first one gets right.
        only_second: likewise for the second.
        p: the probability of so uneven a split, or one more so, if both
            detectors were equally often right.
    """

    only_first: int
    only_second: int
    p: float


class PairedAucs:
    """The mean ROC AUCs of several teams of detectors, resampled together.

    Every resample draws the groups of images once for all detectors, and each
    team's members by themselves: of R members R - 1, with replacement, which
    makes the variance of their mean right. A team of one tells nothing about
    the luck of training.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake; both occur.
        groups: `[N]`, images of one group stay together; at least two.
        teams: for each team float `[R, N]`, the probabilities of fake by its
            R detectors, such as one a seed.
        resamples: how many resamples to draw.
        seed: the same seed gives the same resamples.

    References:
        Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, sections
        13.3 (percentile interval) and 15.4 (tests by inverting it).

        McCarthy & Snowden, "The Bootstrap and Finite Population Sampling",
        1985 (drawing R - 1 of R).

    Example:
        >>> aucs = PairedAucs(labels, groups, [facenet, cnn], 10_000)
        >>> aucs.difference(1, 0).value
        -0.131
    """

    def __init__(
        self,
        labels: np.ndarray,
        groups: np.ndarray,
        teams: Sequence[np.ndarray],
        resamples: int,
        seed: int = 0,
    ):
        areas = weighted_auc(labels, np.concatenate(teams))
        sizes = [len(team) for team in teams]
        starts = np.cumsum([0, *sizes[:-1]])
        once = np.add.reduceat(areas(np.ones(len(labels))), starts)
        self.values = once / sizes
        weights = resampled(groups, resamples, seed)
        shares = _member_shares(sizes, resamples, seed)
        draws = [
            np.add.reduceat(areas(weight) * share, starts)
            for weight, share in track(
                zip(weights, shares, strict=True), "resampling", resamples
            )
        ]
        # A resample without reals or fakes has no ROC curve.
        self._draws = np.stack([d for d in draws if np.isfinite(d).all()])

    def difference(self, first: int, second: int) -> AucDifference:
        """Compares two teams by their numbers."""
        draws = self._draws[:, first] - self._draws[:, second]
        tail = (1 - COVERAGE) / 2
        low, high = np.quantile(draws, [tail, 1 - tail])
        beyond = min(np.sum(draws <= 0), np.sum(draws >= 0))
        return AucDifference(
            float(self.values[first] - self.values[second]),
            float(low),
            float(high),
            # One is added, since the data themselves are a resample too.
            float(min(1, 2 * (1 + beyond) / (1 + len(draws)))),
        )


def _member_shares(
    sizes: Sequence[int], resamples: int, seed: int
) -> np.ndarray:
    """How much each detector counts in its team's mean, in each resample."""
    generator = np.random.default_rng(seed)
    shares = []
    for size in sizes:
        drawn = max(1, size - 1)
        times = generator.multinomial(drawn, np.full(size, 1 / size), resamples)
        shares.append(times / drawn)
    return np.concatenate(shares, axis=1)


def weighted_auc(
    labels: np.ndarray, probabilities: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Prepares ROC AUCs of many detectors for many weightings of the images.

    Everything is sorted once, so that a weighting costs a hundredth of what
    `sklearn.metrics.roc_auc_score` takes.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[R, N]`, of R detectors.

    Returns:
        A function from weights, float `[N]`, to the areas, float `[R]`; NaN
        where a class has no weight.

    Reference:
        Hanley & McNeil, "The meaning and use of the area under a receiver
        operating characteristic (ROC) curve", Radiology 1982: the area is the
        share of pairs in which the fake scores higher, ties counted half.

    Example:
        >>> weighted_auc(np.array([0, 1]), np.array([[0.2, 0.7]]))(np.ones(2))
        array([1.])
    """
    reals, fakes = probabilities[:, labels == 0], probabilities[:, labels == 1]
    order = np.argsort(reals, axis=1)
    ranked = np.take_along_axis(reals, order, axis=1)
    below, not_above = (
        np.stack(
            [
                np.searchsorted(r, f, side)
                for r, f in zip(ranked, fakes, strict=True)
            ]
        )
        for side in ("left", "right")
    )

    def areas(weights: np.ndarray) -> np.ndarray:
        real, fake = weights[labels == 0], weights[labels == 1]
        if not real.sum() or not fake.sum():
            return np.full(len(probabilities), np.nan)
        passed = np.pad(np.cumsum(real[order], axis=1), [(0, 0), (1, 0)])
        wins = np.take_along_axis(passed, below, axis=1)
        ties = np.take_along_axis(passed, not_above, axis=1)
        return (wins + ties) / 2 @ fake / (real.sum() * fake.sum())

    return areas


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values so that all tests together err in 5 % of cases.

    Args:
        p_values: of the tests, in 0..1.

    Returns:
        The corrected ones in the same order, each to be held against 0.05.

    Reference:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure",
        Scandinavian Journal of Statistics 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(np.asarray(p_values)[order] * factors)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(stepped, 1)
    return corrected.tolist()


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Tests whether two detectors are equally often right.

    Args:
        first: bool `[N]`, where the first one is right. The images must be
            independent of each other.
        second: bool `[N]`, where the second one is, on the same images.

    Returns:
        The exact test.

    Reference:
        McNemar, "Note on the sampling error of the difference between
        correlated proportions or percentages", Psychometrika 1947.

    Example:
        >>> mcnemar(np.array([False, True]), np.array([True, True])).p
        1.0
    """
    only_first = int(np.sum(first & ~second))
    only_second = int(np.sum(second & ~first))
    apart = only_first + only_second
    p = stats.binomtest(only_first, apart).pvalue if apart else 1.0
    return McNemar(only_first, only_second, float(p))
