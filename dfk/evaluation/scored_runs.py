"""Evaluated runs, read back for a comparison on the very same images."""

import csv
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfk import runs
from dfk.data import names
from dfk.errors import UserError
from dfk.evaluation.metrics import CLASSES
from dfk.runs import Run


class Source(NamedTuple):
    """Which images were scored.

    Args:
        dataset: a TFDS name, or None.
        data_dir: the absolute path of a folder, or None.
        split: `train`, `validation` or `test`.
    """

    dataset: str | None
    data_dir: str | None
    split: str

    @property
    def name(self) -> str:
        """The data set in words: its TFDS name, or its folder's name."""
        return self.dataset or names.short(self.data_dir)

    @property
    def flags(self) -> list[str]:
        """The flags of `dfk.evaluate` and `dfk.compare` that name it."""
        return [f"--{k}={v}" for k, v in self._asdict().items() if v]


@dataclass(frozen=True)
class ScoredRun:
    """A run and what its detector said about each image, in the ids' order.

    Args:
        path: the run's folder.
        config: what the run was started with.
        training: what `results.json` tells about the training.
        metrics: the record's metrics, each with `value`, `low` and `high`.
        ids: str `[N]`.
        groups: str `[N]`, images of one group are not independent.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float32 `[N]` in 0..1, the probabilities of fake.
    """

    path: Path
    config: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    ids: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def read(
    paths: Sequence[str | Path],
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str | None = None,
) -> tuple[Source, list[ScoredRun]]:
    """Reads what `dfk.evaluate` wrote about runs.

    Args:
        paths: folders of runs or of repeats.
        dataset: a TFDS name, or a folder, that narrows down which evaluation
            is meant.
        data_dir: likewise a folder.
        split: likewise a split.

    Returns:
        What was scored, by default what all runs share; and the runs, whose
        arrays of ids, groups and labels are equal.

    Raises:
        UserError: a run that is not finished or not evaluated on the same
            images, or several evaluations that could be meant.

    Example:
        >>> source, scored = read(["runs/cnn", "runs/facenet"], split="test")
        >>> source.name
        'faces'
    """
    opened = runs.finished(paths)
    dataset, data_dir = names.name_or_folder(dataset, data_dir)
    asked = Source(dataset, names.absolute(data_dir), split)
    evaluations = {run: _evaluations(run, asked) for run in opened}
    source = _shared(evaluations, asked)
    scored = [_read(run, *evaluations[run][source]) for run in opened]
    for other in scored[1:]:
        _require_same_images(scored[0], other)
    return source, scored


def _evaluations(run: Run, asked: Source) -> dict[Source, tuple[str, dict]]:
    """The run's records and their keys, by what was scored, if asked for."""
    if not run.results_path.is_file():
        return {}
    results = json.loads(run.results_path.read_text())
    found = {}
    for key, record in results.get("evaluation", {}).items():
        source = Source(*(record[name] for name in Source._fields))
        if all(a in (None, s) for a, s in zip(asked, source, strict=True)):
            found[source] = key, results
    return found


def _shared(
    evaluations: dict[Run, dict[Source, tuple[str, dict]]], asked: Source
) -> Source:
    """The one thing that all runs have scored."""
    times = Counter(
        source for found in evaluations.values() for source in found
    )
    shared = [source for source in times if times[source] == len(evaluations)]
    if len(shared) > 1:
        choices = "; ".join(shlex.join(source.flags) for source in shared)
        raise UserError(
            "The runs were evaluated on several things: say which one is "
            f"meant with the flags of one of these: {choices}."
        )
    if not shared:
        common = max(times, key=times.__getitem__, default=asked)
        raise UserError(
            _evaluate_first(
                [r.path for r, has in evaluations.items() if common not in has],
                common,
            )
        )
    return shared[0]


def _evaluate_first(lacking: list[Path], source: Source) -> str:
    """The sentence for runs that lack scores, with the command to run."""
    what = f"scores of {source.name}" if any(source[:2]) else "scores"
    more = f" and {len(lacking) - 1} more runs" if len(lacking) > 1 else ""
    command = shlex.join(
        ["python", "-m", "dfk.evaluate", *map(str, lacking), *source.flags]
    )
    return f"No {what} in {lacking[0]}{more}: run `{command}` first."


def _read(run: Run, key: str, results: dict[str, Any]) -> ScoredRun:
    path = run.path / f"scores-{key}.csv"
    if not path.is_file():
        raise UserError(
            f"{path} is missing: evaluate again with "
            f"`{results['evaluation'][key]['command']}`."
        )
    with path.open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["id"])
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return ScoredRun(
        path=run.path,
        config=run.config,
        training=results.get("training", {}),
        metrics=results["evaluation"][key]["metrics"],
        ids=columns["id"],
        groups=columns["group"],
        labels=(columns["label"] == CLASSES[1]).astype(int),
        probabilities=columns["fake_probability"].astype(np.float32),
    )


def _require_same_images(first: ScoredRun, other: ScoredRun) -> None:
    same = all(
        np.array_equal(getattr(first, name), getattr(other, name))
        for name in ("ids", "groups", "labels")
    )
    if not same:
        raise UserError(
            f"{first.path} and {other.path} were not scored on the same "
            f"images, labels and groups ({len(first.ids)} and "
            f"{len(other.ids)} images): evaluate both again."
        )
