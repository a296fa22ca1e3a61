"""The cross table: every detector on every data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dfk.evaluation.measure import evaluate
from dfk.runs import Run, finished

# On a few hundred images, chance alone gives the best threshold less.
TRANSFER_LOSS = 0.05


class Cell(NamedTuple):
    """One detector on one data set.

    Args:
        dataset: its name, or its folder.
        images: how many.
        roc_auc: None where the images are of one class.
        accuracy: at the shipped threshold.
        false_alarms: the share of the reals above that threshold, or None.
        recall: the share of the fakes above it, or None.
        uncertain: the share without a verdict.
        transfers: whether the shipped threshold is about as good here as the
            best one; None where one class cannot tell.
    """

    dataset: str
    images: int
    roc_auc: float | None
    accuracy: float
    false_alarms: float | None
    recall: float | None
    uncertain: float
    transfers: bool | None


class Row(NamedTuple):
    """One detector on all data sets.

    Args:
        run: its folder.
        model: the detector's name.
        trained_on: the data set it was trained on.
        cells: one for each data set.
    """

    run: str
    model: str
    trained_on: str
    cells: list[Cell]


def cross_table(
    runs: Sequence[str | Path], datasets: Sequence[str], split: str = "test"
) -> list[Row]:
    """Evaluates every run on every data set.

    Each evaluation is recorded in its run as by `evaluate`, and the run's row
    as `cross` in its `results.json`.

    Args:
        runs: folders of runs, or of repeats for all their seeds; or `default`.
        datasets: TFDS names, or folders; those may hold one class only, or
            `{real,fake}/*` without splits.
        split: which split of each.

    Returns:
        A row for each run.

    Raises:
        UserError: no finished run, no such data, or no images to score.

    Example:
        >>> rows = cross_table(["runs/facenet"], ["faces", "other"])
        >>> rows[0].cells[1].roc_auc
        0.61
    """
    return [_row(run, datasets, split) for run in finished(runs)]


def _row(run: Run, datasets: Sequence[str], split: str) -> Row:
    config = run.config
    cells = [
        _cell(name, evaluate(run.path, name, split=split)) for name in datasets
    ]
    trained_on = config["data_dir"] or config["dataset"]
    with run.updating_results() as results:
        results["cross"] = {
            "split": split,
            "trained_on": trained_on,
            "cells": [cell._asdict() for cell in cells],
        }
    return Row(str(run.path), config["model"], trained_on, cells)


def _cell(name: str, record: dict[str, Any]) -> Cell:
    metrics, counts = record["metrics"], record["confusion"]
    best = record["best_balanced_accuracy"]
    shipped = metrics["balanced_accuracy"]["value"]
    return Cell(
        name,
        record["images"],
        metrics["roc_auc"]["value"],
        metrics["accuracy"]["value"],
        _share(counts["real"]),
        _share(counts["fake"]),
        record["verdicts"]["all"]["uncertain"],
        None if best is None else best - shipped <= TRANSFER_LOSS,
    )


def _share(counts: dict[str, int]) -> float | None:
    images = sum(counts.values())
    return counts["fake"] / images if images else None
