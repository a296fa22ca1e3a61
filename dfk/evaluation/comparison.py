"""Which detector is better, and whether the difference is a real one.

Runs that differ only in their seed are one row. All rows were scored on the
same images, so that they can be compared image by image.
"""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfk.data import names
from dfk.errors import UserError
from dfk.evaluation.bootstrap import COVERAGE
from dfk.evaluation.metrics import THRESHOLD
from dfk.evaluation.paired import (
    AucDifference,
    McNemar,
    PairedAucs,
    groups_of_each_class,
    holm,
    mcnemar,
)
from dfk.evaluation.scored_runs import ScoredRun, Source, read
from dfk.runs import flat

# They give standard errors, and these to about 2 %.
RESAMPLES = 2_000
SEED = 0
FROZEN = "frozen features, logistic regression"

# What decides nothing about a detector, and what makes it another repeat.
_NO_SETTINGS = ("format", "model", "manual_dir", "seed", "plan")
# What means nothing to a run that trains no backbone.
_TUNING = ("unfreeze", "epochs", "batch_size", "accumulate", "learning_rate")


@dataclass(frozen=True)
class Row:
    """Runs that differ only in their seed.

    Args:
        detector: its name.
        settings: in words, what sets it apart from other rows of the same
            detector; empty if nothing does.
        runs: at least one.
    """

    detector: str
    settings: str
    runs: list[ScoredRun]

    @property
    def label(self) -> str:
        """The detector with what sets it apart."""
        return self.detector + (f" ({self.settings})" if self.settings else "")

    def values(self, metric: str) -> list[float]:
        """A metric of `dfk.evaluation.metrics.NAMES`, for each run."""
        return [run.metrics[metric]["value"] for run in self.runs]


@dataclass(frozen=True)
class Difference:
    """A row against the best one.

    Args:
        row: the row.
        auc: its mean ROC AUC less the best row's. `p` is corrected by Holm's
            method for all pairs of rows.
        mcnemar: the same for the calls at 0.5, the row's first; None where a
            row has several runs or images belong together in groups, which
            that test does not know.
    """

    row: Row
    auc: AucDifference
    mcnemar: McNemar | None

    @property
    def is_real(self) -> bool:
        """Whether chance is no likely explanation."""
        return self.auc.p < 1 - COVERAGE


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Args:
        source: what was scored.
        images: how many.
        groups: in how many groups.
        resamples: how many were drawn.
        rows: the best mean ROC AUC first.
        differences: of each row but the first, in the same order.
    """

    source: Source
    images: int
    groups: int
    resamples: int
    rows: list[Row]
    differences: list[Difference]


def compare(
    paths: Sequence[str | Path],
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str | None = None,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compares evaluated runs on the images that all of them scored.

    The intervals come from a paired bootstrap over groups of images and, in
    rows of several runs, from the spread over the seeds (`PairedAucs`); of a
    single run it stays unknown how much is the luck of training. The best row
    is picked by its result, so all pairs of rows count as tests: correcting
    only for those with the best row would call too many differences real.

    Args:
        paths: folders of runs or of repeats.
        dataset: a TFDS name, or a folder, to say which evaluation if the runs
            share more than one.
        data_dir: likewise a folder.
        split: likewise a split.
        resamples: how many resamples to draw.

    Returns:
        The rows and their differences from the best one.

    Raises:
        UserError: runs that were not evaluated on the same images; or a class
            of no images or of one group, which allows no comparison.

    Example:
        >>> compare(["runs/cnn", "runs/facenet"]).differences[0].auc.value
        -0.131
    """
    source, scored = read(paths, dataset, data_dir, split)
    first = scored[0]
    groups = len(np.unique(first.groups))
    if groups_of_each_class(first.labels, first.groups) < 2:
        raise UserError(
            f"The {len(first.ids)} images of {source.name} ({source.split}) "
            "allow no comparison: evaluate on reals and fakes in at least two "
            "groups each."
        )
    rows = _rows(scored)
    differences = _differences(rows, resamples) if len(rows) > 1 else []
    return Comparison(
        source, len(first.ids), groups, resamples, rows, differences
    )


def _rows(scored: list[ScoredRun]) -> list[Row]:
    """Puts seeds together, the best mean ROC AUC first."""
    repeats: dict[str, list[ScoredRun]] = {}
    for run in scored:
        shared = [run.config["model"], _settings(run.config)]
        key = json.dumps(shared, sort_keys=True)
        repeats.setdefault(key, []).append(run)
    for runs in repeats.values():
        _require_other_seeds(runs)
    configs = [runs[0].config for runs in repeats.values()]
    rows = [
        Row(runs[0].config["model"], describe(runs[0].config, configs), runs)
        for runs in repeats.values()
    ]
    return sorted(rows, key=lambda row: -np.mean(row.values("roc_auc")))


def _require_other_seeds(runs: list[ScoredRun]) -> None:
    known: dict[int, ScoredRun] = {}
    for run in runs:
        other = known.setdefault(run.config.get("seed"), run)
        if other is not run:
            raise UserError(
                f"{other.path} and {run.path} are the same training, seed "
                "included: pass only one of them."
            )


def describe(config: dict[str, Any], configs: list[dict[str, Any]]) -> str:
    """Says what sets a run apart from others of the same detector.

    Args:
        config: of the run.
        configs: of all runs.

    Returns:
        The settings whose values differ, and `FROZEN` for a run that trained
        no backbone.

    Example:
        >>> full = {"model": "cnn", "limit": None}
        >>> few = {"model": "cnn", "limit": 350}
        >>> describe(few, [full, few])
        'limit 350'
    """
    words = [] if _trains_backbone(config) else [FROZEN]
    alike = [c for c in configs if c["model"] == config["model"]]
    tuned = [c for c in alike if _trains_backbone(c)]
    for name, value in _settings(config).items():
        others = tuned if name in _TUNING else alike
        if name.startswith("recipe "):
            # Earlier versions of dfk did not write their recipes down.
            others = [c for c in tuned if "recipe" in c]
        known = [_settings(other).get(name) for other in others]
        if value is not None and any(other != value for other in known):
            words.append(_words(name, value))
    return ", ".join(words)


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """What decides how good a detector gets, but for the seed."""
    ignored = _NO_SETTINGS
    if not _trains_backbone(config):
        ignored += _TUNING
    settings = {
        name: value
        for name, value in config.items()
        if name not in (*ignored, "recipe")
    }
    return settings | (_recipe(config) if _trains_backbone(config) else {})


def _recipe(config: dict[str, Any]) -> dict[str, Any]:
    """What versions of dfk may have changed between two runs."""
    return {
        f"recipe {name}": value
        for name, value in flat(config.get("recipe", {})).items()
    }


def _trains_backbone(config: dict[str, Any]) -> bool:
    return config.get("unfreeze") != "none"


def _words(name: str, value: Any) -> str:
    if name == "data_dir":
        return f"trained on {names.short(value)}"
    if name == "dataset":
        return f"trained on {value}"
    return f"{name.replace('_', ' ')} {value}"


def _differences(rows: list[Row], resamples: int) -> list[Difference]:
    first = rows[0].runs[0]
    aucs = PairedAucs(
        first.labels,
        first.groups,
        [np.stack([run.probabilities for run in row.runs]) for row in rows],
        resamples,
        SEED,
    )
    pairs = list(itertools.combinations(range(len(rows)), 2))
    by_auc = _corrected({(a, b): aucs.difference(b, a) for a, b in pairs})
    by_calls = _corrected(
        {(a, b): _mcnemar(rows[b], rows[a]) for a, b in pairs}
    )
    return [
        Difference(row, by_auc[0, number], by_calls.get((0, number)))
        for number, row in enumerate(rows[1:], 1)
    ]


def _mcnemar(row: Row, best: Row) -> McNemar | None:
    groups = best.runs[0].groups
    in_groups = len(np.unique(groups)) < len(groups)
    if in_groups or len(row.runs) > 1 or len(best.runs) > 1:
        return None
    return mcnemar(_correct(row.runs[0]), _correct(best.runs[0]))


def _correct(run: ScoredRun) -> np.ndarray:
    return (run.probabilities > THRESHOLD) == run.labels


def _corrected(tests: dict) -> dict:
    """Those tests that were made, with corrected p-values."""
    made = {pair: test for pair, test in tests.items() if test is not None}
    p_values = holm([test.p for test in made.values()])
    return {
        pair: dataclasses.replace(test, p=p)
        for (pair, test), p in zip(made.items(), p_values, strict=True)
    }
