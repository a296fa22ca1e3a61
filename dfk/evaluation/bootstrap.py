"""Intervals for any statistic of images, by resampling groups of them."""

from collections.abc import Callable, Iterator

import numpy as np
import sklearn

RESAMPLES = 1000
COVERAGE = 0.95

Statistics = dict[str, float | None]
Interval = dict[str, float | None]


def bootstrap(
    statistics: Callable[[np.ndarray], Statistics],
    groups: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, tuple[float | None, float | None]]:
    """Computes 95 % percentile intervals by resampling whole groups.

    Images of one group resemble each other, so resampling single images would
    promise more than the data hold.

    Args:
        statistics: from weights, float `[N]`, to statistics by name, of which
            some may be None.
        groups: `[N]`, the group of each image.
        resamples: how many resamples to draw.
        seed: the same seed gives the same intervals.

    Returns:
        Low and high by name. They are None for a statistic that is undefined
        in every resample, and for all of them where there are fewer than two
        groups, which say nothing about others.

    Reference:
        Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
        section 3.8 (hierarchical data).

    Example:
        >>> mean = lambda weights: {"mean": np.average(x, weights=weights)}
        >>> bootstrap(mean, groups=np.arange(len(x)))["mean"]
        (0.93, 1.08)
    """
    # The input is checked once, by whoever computed the values themselves.
    with sklearn.config_context(
        assume_finite=True, skip_parameter_validation=True
    ):
        draws = [
            statistics(weights)
            for weights in resampled(groups, resamples, seed)
        ]
    count = len(np.unique(groups))
    return {
        name: _percentiles([draw[name] for draw in draws], count)
        for name in draws[0]
    }


def resampled(
    groups: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[np.ndarray]:
    """Draws whole groups with replacement, as often as there are groups.

    Args:
        groups: `[N]`, the group of each image.
        resamples: how often to draw.
        seed: the same seed gives the same resamples.

    Yields:
        For each resample float `[N]`, how often each image is in it.

    Example:
        >>> next(resampled(np.array(["ann", "ann", "bob"])))
        array([2., 2., 0.])
    """
    _, members = np.unique(groups, return_inverse=True)
    count = members.max() + 1
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = generator.integers(count, size=count)
        times = np.bincount(drawn, minlength=count)
        yield times[members].astype(float)


def _percentiles(
    draws: list[float | None], groups: int
) -> tuple[float | None, float | None]:
    defined = [draw for draw in draws if draw is not None]
    if groups < 2 or not defined:
        return None, None
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
