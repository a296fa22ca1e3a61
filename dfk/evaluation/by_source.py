"""How well a detector tells the fakes of each of several data sets.

One figure for all of them would hide a kind of fakes that it misses. The mean
at the end gives each data set the same weight.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dfk.data.folders import LABELS
from dfk.evaluation import metrics
from dfk.evaluation.records import Scores
from dfk.evaluation.statistics import Statistics, estimates

TITLES = {
    "roc_auc": "ROC AUC",
    "accuracy": "accuracy",
    "called_fake": "reals called fake",
    "called_real": "fakes called real",
    "uncertain": "uncertain",
}
MEAN = "mean"


class Row(NamedTuple):
    """One data set, or the mean of all.

    Args:
        name: of the data set.
        images: how many.
        values: for each of `TITLES` its `value`, and the ends `low` and `high`
            of its 95 % interval; None where it is undefined.
    """

    name: str
    images: int
    values: dict[str, Statistics]


def by_source(scores: Scores, sources: Sequence[str]) -> list[Row]:
    """Measures each data set, and their mean.

    Args:
        scores: of images of several data sets, whose names (and groups) begin
            with that of their data set and a slash.
        sources: those beginnings.

    Returns:
        A row for each, and one called `mean`.

    Example:
        >>> by_source(scores, ["1-gan", "2-swap"])[-1].values["roc_auc"]
        {'value': 0.951, 'low': 0.938, 'high': 0.963}
    """
    of_source = [np.char.startswith(scores.ids, f"{s}/") for s in sources]
    every = np.ones(len(scores.ids))

    def statistics(weights: np.ndarray) -> Statistics:
        tables = [_measure(scores, weights * mine) for mine in of_source]
        found = {
            f"{source}/{name}": value
            for source, table in zip(sources, tables, strict=True)
            for name, value in table.items()
        }
        for name in TITLES:
            known = [t[name] for t in tables if t[name] is not None]
            found[f"{MEAN}/{name}"] = float(np.mean(known)) if known else None
        return found

    # One bootstrap for all, so that the mean has an interval as well.
    values = estimates(statistics(every), statistics, scores.groups)
    images = [int(mine.sum()) for mine in of_source]
    return [
        Row(name, size, {t: values[f"{name}/{t}"] for t in TITLES})
        for name, size in zip(
            [*sources, MEAN], [*images, len(every)], strict=True
        )
    ]


def _measure(scores: Scores, weights: np.ndarray) -> Statistics:
    kept = weights > 0
    if not kept.any():
        return dict.fromkeys(TITLES)
    labels, weights = scores.labels[kept], weights[kept]
    usual = metrics.measure(labels, scores.probabilities[kept], weights)
    real, fake = LABELS
    verdicts = scores.verdicts[kept]
    return {
        "roc_auc": usual["roc_auc"],
        "accuracy": usual["accuracy"],
        "called_fake": metrics.share(verdicts == fake, weights * (labels == 0)),
        "called_real": metrics.share(verdicts == real, weights * (labels == 1)),
        "uncertain": metrics.share(verdicts == "uncertain", weights),
    }
