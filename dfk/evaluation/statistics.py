"""Statistics of scores: bootstrap intervals, and tests of paired detectors.

Images of one group (a person, a video) resemble each other. Everything here
therefore treats a group, not an image, as one observation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sklearn
from scipy import stats

from dfk.data.groups import groups_of_each_class
from dfk.progress import track

RESAMPLES = 1000
COVERAGE = 0.95
SEED = 0

# By name; None where a statistic is undefined.
Statistics = dict[str, float | None]


def estimates(
    values: Statistics,
    statistics: Callable[[np.ndarray], Statistics],
    groups: np.ndarray,
) -> dict[str, Statistics]:
    """Adds 95 % percentile intervals, by a bootstrap of whole groups.

    Resampling single images would give intervals that are too narrow.

    Args:
        values: the statistics of all images.
        statistics: computes them from weights, float `[N]`.
        groups: `[N]`, the group of each image.

    Returns:
        By name the `value`, and the interval's ends `low` and `high`. They
        are None for a statistic that is undefined in every resample, and for
        all of them where there are fewer than two groups, which say nothing
        about others.

    Reference:
        Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
        section 3.8 (hierarchical data).

    Example:
        >>> mean = lambda weights: {"mean": np.average(x, weights=weights)}
        >>> estimates({"mean": x.mean()}, mean, np.arange(len(x)))["mean"]
        {'value': 1.01, 'low': 0.93, 'high': 1.08}
    """
    # The input is checked once, by whoever computed the values themselves.
    with sklearn.config_context(
        assume_finite=True, skip_parameter_validation=True
    ):
        draws = list(map(statistics, resampled(groups, RESAMPLES)))
    tail = (1 - COVERAGE) / 2
    intervals = {}
    for name, value in values.items():
        defined = [draw[name] for draw in draws if draw[name] is not None]
        low = high = None
        if len(np.unique(groups)) > 1 and defined:
            low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
        intervals[name] = {"value": value, "low": low, "high": high}
    return intervals


def resampled(groups: np.ndarray, resamples: int) -> Iterator[np.ndarray]:
    """Draws whole groups with replacement, as often as there are groups.

    Args:
        groups: `[N]`, the group of each image.
        resamples: how often to draw.

    Yields:
        For each resample float `[N]`, how often each image is in it; always
        the same ones.

    Example:
        >>> next(resampled(np.array(["ann", "ann", "bob"]), 1000))
        array([2., 2., 0.])
    """
    _, members = np.unique(groups, return_inverse=True)
    count = members.max() + 1
    generator = np.random.default_rng(SEED)
    for _ in range(resamples):
        drawn = generator.integers(count, size=count)
        times = np.bincount(drawn, minlength=count)
        yield times[members].astype(float)


@dataclass(frozen=True)
class AucDifference:
    """One mean ROC AUC less another.

    Args:
        value: the difference.
        low: the lower end of its 95 % interval.
        high: the upper end.
        p: the p-value of no difference: the level at which the interval just
            reaches 0. For G groups in the class of fewer groups it is at
            least `2 ** (1 - G)`, the probability that all of them favour the
            same detector by chance.
    """

    value: float
    low: float
    high: float
    p: float


class PairedAucs:
    """The mean ROC AUCs of several detectors on the same images.

    What is hard for one detector tends to be hard for another, and drops out
    of their difference. What is left varies for two reasons. One is the choice
    of the images: its variance comes from a bootstrap that draws the groups of
    images once for all detectors. The other is the training: its variance
    comes from the spread over a detector's repeats, such as one a seed; a
    single training says nothing about it. Few groups of a class or few repeats
    estimate their variance poorly, so the intervals are those of Student's t,
    with the degrees of freedom that both parts together have (Satterthwaite).

    Args:
        labels: int `[N]`, 0 for real and 1 for fake; both occur.
        groups: `[N]`, images of one group stay together; at least two of
            either class.
        detectors: for each detector float `[R, N]`, the probabilities of fake
            by its R repeats.
        resamples: how many resamples to draw.

    References:
        Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 6
        and section 12.2 (standard errors, and intervals by Student's t).

        Satterthwaite, "An Approximate Distribution of Estimates of Variance
        Components", Biometrics Bulletin 1946.

    Example:
        >>> aucs = PairedAucs(labels, groups, [facenet, cnn], 2_000)
        >>> aucs.difference(1, 0).value
        -0.131
    """

    def __init__(
        self,
        labels: np.ndarray,
        groups: np.ndarray,
        detectors: Sequence[np.ndarray],
        resamples: int,
    ):
        aucs = weighted_auc(labels, np.concatenate(detectors))
        sizes = [len(repeats) for repeats in detectors]
        starts = np.cumsum([0, *sizes[:-1]])
        self._repeats = np.split(aucs(np.ones(len(labels))), starts[1:])
        self.values = np.array([repeats.mean() for repeats in self._repeats])
        # An AUC is known no better than the class of fewer groups allows.
        self._groups = groups_of_each_class(labels, groups)
        weightings = resampled(groups, resamples)
        draws = [
            np.add.reduceat(aucs(weights), starts) / sizes
            for weights in track(weightings, "resampling", resamples)
        ]
        # A resample without reals or fakes has no ROC curve.
        self._draws = np.stack([d for d in draws if np.isfinite(d).all()])

    def difference(self, first: int, second: int) -> AucDifference:
        """Compares two detectors, named by their numbers."""
        value = float(self.values[first] - self.values[second])
        draws = self._draws[:, first] - self._draws[:, second]
        freedom = self._groups - 1
        # A bootstrap sees the spread around the sample's own mean.
        parts = [(draws.var() * self._groups / freedom, freedom)]
        parts += [
            (aucs.var(ddof=1) / len(aucs), len(aucs) - 1)
            for aucs in (self._repeats[first], self._repeats[second])
            if len(aucs) > 1
        ]
        error, freedom = _standard_error(parts)
        margin = error * stats.t.ppf((1 + COVERAGE) / 2, freedom)
        p = 2 * stats.t.sf(abs(value) / error, freedom) if error else 0.0
        if value == 0:
            p = 1.0
        # However equal all resamples are, they are of only so many groups.
        p = max(float(p), 2.0 ** (1 - self._groups))
        return AucDifference(value, value - margin, value + margin, p)


def _standard_error(parts: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Adds variances up; the sum's root and its degrees of freedom.

    Args:
        parts: of each variance its value and its degrees of freedom.
    """
    variance = sum(value for value, _ in parts)
    if variance == 0:
        return 0.0, 1.0
    spread = sum(value**2 / freedom for value, freedom in parts)
    return float(np.sqrt(variance)), float(variance**2 / spread)


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
    pairs = list(zip(ranked, fakes, strict=True))
    below, not_above = (
        np.stack([np.searchsorted(real, fake, side) for real, fake in pairs])
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
        The corrected ones in the same order, each to be compared with 0.05.

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


@dataclass(frozen=True)
class McNemar:
    """How often exactly one of two detectors is right.

    Args:
        only_first: the number of images that only the first one gets right.
        only_second: likewise for the second.
        p: the probability of a split at least so uneven, if both detectors
            were equally often right.
    """

    only_first: int
    only_second: int
    p: float


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
    differing = only_first + only_second
    p = stats.binomtest(only_first, differing).pvalue if differing else 1.0
    return McNemar(only_first, only_second, float(p))
