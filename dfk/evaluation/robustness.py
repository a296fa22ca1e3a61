"""How much of a detector's accuracy is left on corrupted images."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dfk import data, models
from dfk.data import FaceSplit
from dfk.data.faces import fits
from dfk.evaluation import measure, metrics, records, robustness_plots
from dfk.evaluation.records import Scores
from dfk.files import scratch_dir
from dfk.images.corruptions import CORRUPTIONS, Corruption
from dfk.provenance import provenance
from dfk.runs import Run

# What has an area under its curve.
CURVES = ("accuracy", "balanced_accuracy", "roc_auc")

Cell = tuple[str, float]
Grid = Mapping[str, Corruption]


def robustness(
    run_path: str | Path,
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str = "test",
    grid: Grid = CORRUPTIONS,
) -> dict[str, Any]:
    """Measures a run's detector on a split corrupted in many ways.

    Adds to what `evaluate` wrote of the same split: the record, as
    `results.json`'s `evaluation.<key>.robustness`; its numbers, as
    `robustness-<key>.csv`; and `plots/robustness-<key>.png`.

    Args:
        run_path: the folder of a finished run.
        dataset: a TFDS name; by default what the run was trained on.
        data_dir: a folder of images; by default what the run was trained on.
        split: `test`, `validation` or `train`.
        grid: the corruptions, each of which is tried at all of its levels.

    Returns:
        The record: what `summary` gives, with what, where and when. `files`
        are relative to the run. The score is None without all corruptions.

    Raises:
        UserError: no finished run, no such data, no images to score, or a
            split that has not been evaluated.

    Example:
        >>> record = robustness("runs/facenet")
        >>> record["score"], record["worst"]["corruption"]
        (0.873, 'gaussian_noise')
    """
    run = Run.finished(run_path)
    source = records.source_of(run, dataset, data_dir, split)
    key, _ = records.recorded(run, source)
    detector = models.load(run.path)
    images = measure.load_split(detector, source)
    with data.unreadable_files():
        clean, cells = _score_grid(detector, images, grid)
    record = {
        "command": f"{records.command([run], source)} --robustness",
        **provenance(),
        **summary(clean, cells, grid),
    }
    if set(grid) < set(CORRUPTIONS):
        # A mean over other corruptions is on another scale.
        record["score"] = None
        record["command"] += f" --corruptions={','.join(grid)}"
    _write(run, key, record)
    return record


def _score_grid(
    detector: keras.Model, split: FaceSplit, grid: Grid
) -> tuple[Scores, dict[Cell, Scores]]:
    """Scores the split as it is, then every cell of the grid."""
    cells = [(c, level) for c in grid.values() for level in c.levels]
    with tempfile.TemporaryDirectory(
        prefix="dfk-", dir=scratch_dir()
    ) as scratch:
        place = "" if fits(split) else str(Path(scratch, split.name))
        split = replace(split, examples=split.examples.cache(place))
        clean = measure.score_split(detector, split)
        # All cells share one graph and one pipeline, so that nothing is
        # compiled or started again between two of them.
        columns = measure.score(
            detector,
            _corrupted(split, cells),
            len(cells) * split.size,
            f"scoring {len(cells)} corruptions",
        )
    shape = len(cells), split.size
    columns = {name: values.reshape(shape) for name, values in columns.items()}
    return clean, {
        (corruption.name, level): clean._replace(
            **{name: values[row] for name, values in columns.items()}
        )
        for row, (corruption, level) in enumerate(cells)
    }


def _corrupted(
    split: FaceSplit, cells: list[tuple[Corruption, float]]
) -> tf.data.Dataset:
    """All of the split's images for the first cell, then for the second..."""

    def apply(index: np.int64, pixels: np.ndarray, image: bytes) -> np.ndarray:
        corruption, level = cells[index // split.size]
        return corruption.apply(pixels, level, image.decode())

    def change(index: tf.Tensor, example: dict) -> dict[str, tf.Tensor]:
        image = example["image"]
        inputs = [index, image, example["id"]]
        corrupted = tf.numpy_function(apply, inputs, tf.uint8)
        return {"image": tf.ensure_shape(corrupted, image.shape)}

    return (
        split.examples.repeat(len(cells))
        .enumerate()
        .map(change, num_parallel_calls=tf.data.AUTOTUNE)
    )


def summary(
    clean: Scores, cells: Mapping[Cell, Scores], grid: Grid = CORRUPTIONS
) -> dict[str, Any]:
    """Summarizes the scores of a grid.

    The robustness score is the mean, over the corruptions, of the area under
    the curve of balanced accuracy at probability 0.5. Guessing gives 0.5,
    and 1 means always right, whatever happened to the image. It is a mean of
    accuracies and not relative to the clean images, because a poor detector
    would then score well by having little to lose. It uses the threshold,
    because a detector that calls every blurred image real is of no use,
    whatever its ROC AUC.

    Args:
        clean: the scores of the split as it is.
        cells: its scores by the corruption's name and level.
        grid: the corruptions, as they were applied.

    Returns:
        `score`; `clean` and `worst` (of the lowest accuracy), one cell each;
        and `corruptions`: by name the `unit`, the `cells` from mild to
        severe, and the `area` of each of `CURVES`. A cell has `accuracy` and
        `balanced_accuracy` at 0.5, `roc_auc`, `calibration_error`, and the
        shares of `uncertain` and of `wrong` verdicts. What needs both classes
        is None where there is only one.

    Example:
        >>> record = summary(clean, cells)
        >>> record["corruptions"]["jpeg"]["area"]["accuracy"]
        0.91
    """
    start = _cell(clean)
    corruptions = {}
    for name, corruption in grid.items():
        row = [
            {"level": level, **_cell(cells[name, level])}
            for level in corruption.levels
        ]
        under = {c: area([cell[c] for cell in (start, *row)]) for c in CURVES}
        corruptions[name] = {
            "unit": corruption.unit,
            "area": under,
            "cells": row,
        }
    areas = [c["area"]["balanced_accuracy"] for c in corruptions.values()]
    return {
        "score": None if None in areas else float(np.mean(areas)),
        "clean": start,
        "worst": min(_rows(corruptions), key=lambda cell: cell["accuracy"]),
        "corruptions": corruptions,
    }


def area(values: list[float | None]) -> float | None:
    """The area under a curve whose points are one step apart, of width 1.

    Args:
        values: at least two numbers in 0..1: of the clean images, then of
            each level from mild to severe.

    Returns:
        0..1, by the trapezoidal rule: the mean of all steps, in which the
        ends count half. None where a value is.

    Example:
        >>> area([1.0, 0.8, 0.6])
        0.8
    """
    if None in values:
        return None
    return float(np.trapezoid(values) / (len(values) - 1))


def _rows(corruptions: dict[str, Any]) -> list[dict[str, Any]]:
    """All cells of a record, each with its corruption and its unit."""
    return [
        {"corruption": name, "unit": corruption["unit"], **cell}
        for name, corruption in corruptions.items()
        for cell in corruption["cells"]
    ]


def _cell(scores: Scores) -> dict[str, float | None]:
    scored = scores.labels, scores.probabilities
    measured = metrics.measure(*scored)
    shares = metrics.verdict_table(scores.labels, scores.verdicts)["all"]
    return {
        **{curve: measured[curve] for curve in CURVES},
        "calibration_error": metrics.expected_calibration_error(*scored),
        "uncertain": shares["uncertain"],
        "wrong": shares["wrong"],
    }


def _write(run: Run, key: str, record: dict[str, Any]) -> None:
    """Writes all three files, and their names into the record."""
    table = run.path / f"robustness-{key}.csv"
    titles = ["corruption", "level", "unit", *record["clean"]]
    clean = {"corruption": "clean", **record["clean"]}
    rows = [clean, *_rows(record["corruptions"])]
    lines = [[row.get(title) for title in titles] for row in rows]
    records.write_table(table, titles, lines)
    plot = run.path / "plots" / f"robustness-{key}.png"
    robustness_plots.write(plot, record)
    files = [run.results_path, table, plot]
    record["files"] = [str(file.relative_to(run.path)) for file in files]
    # The grid took its time, in which others may have written.
    with run.updating_results() as results:
        results["evaluation"][key]["robustness"] = record
