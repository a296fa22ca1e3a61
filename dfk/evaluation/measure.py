"""Measures the detector of a run on one data set, and writes it all down."""

import csv
import dataclasses
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dfk import data, models
from dfk.data import names
from dfk.evaluation import metrics, plots, records, reliability
from dfk.evaluation.coverage import coverage
from dfk.evaluation.operating_points import operating_points
from dfk.evaluation.scores import BATCH_SIZE, Scores, score_split
from dfk.files import write_json
from dfk.models.calibration import Calibration
from dfk.models.conformal import OUT_OF_DISTRIBUTION
from dfk.runs import Run, provenance

SEED = 0


def evaluate(
    run_path: str | Path,
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str = "test",
    batch_size: int = BATCH_SIZE,
) -> dict[str, Any]:
    """Scores a split with a run's detector and records what came out.

    Writes into the run's folder, under one key per data set and split, so
    that a second data set does not replace the first: the record, as
    `results.json`'s `evaluation.<key>`; every image's score, as
    `scores-<key>.csv`; and `plots/*-<key>.png`.

    Args:
        run_path: the folder of a finished run.
        dataset: a TFDS name; by default what the run was trained on.
        data_dir: a folder of images; by default what the run was trained on.
        split: `test`, which is to be used once, after all choices were made;
            or `validation` or `train`.
        batch_size: how many images are scored at a time.

    Returns:
        The record: the `metrics` with 95 % intervals, `confusion` counts at
        `threshold`, `verdicts`, the share that is `unfamiliar`, `coverage`,
        `operating_points`, `reliability`, `calibration`, and what they were
        measured on, with what, where and when. `files` are relative to the
        run.

    Raises:
        UserError: no finished run, no such data, or no images to score.

    Example:
        >>> record = evaluate("runs/facenet", data_dir="other_faces")
        >>> record["metrics"]["roc_auc"]["value"]
        0.734
    """
    run = Run.finished(run_path)
    dataset, data_dir = records.source_of(run, dataset, data_dir)
    detector = models.load(run.path)
    faces = load_split(detector, dataset, data_dir, split)
    with data.unreadable_files():
        scores = score_split(detector, faces, batch_size)
    calibration = models.score_layer(detector).calibration
    words = scores.words(calibration)

    key = records.key_of(
        dataset, data_dir, split, run.results.get("evaluation", {})
    )
    _write_csv(run.path / f"scores-{key}.csv", scores, words)
    images = plots.write_all(
        run.path / "plots",
        key,
        scores.labels,
        scores.probabilities,
        calibration.uncertain,
    )
    record = {
        "dataset": dataset,
        "data_dir": names.absolute(data_dir),
        "split": split,
        "data_version": faces.version,
        "command": records.command(run_path, dataset, data_dir, split),
        **provenance(),
        **_measurements(scores, words, calibration),
        "files": [
            run.results_path.name,
            f"scores-{key}.csv",
            *(str(p.relative_to(run.path)) for p in images),
        ],
    }
    # Read only now: scoring took its time, in which others may have written.
    results = run.results
    evaluations = results.setdefault("evaluation", {})
    earlier = evaluations.get(key, {})
    if "robustness" in earlier:
        if earlier.get("data_version", faces.version) == faces.version:
            # It took long, and is as true of the same images as it was.
            record["robustness"] = earlier["robustness"]
        else:
            print(
                "The pictures, or how they are read, have changed: what "
                "--robustness measured before is left out."
            )
    evaluations[key] = record
    write_json(run.results_path, results)
    return record


def _measurements(
    scores: Scores, words: dict[str, np.ndarray], calibration: Calibration
) -> dict[str, Any]:
    labels, probabilities = scores.labels, scores.probabilities
    return {
        "images": len(labels),
        "groups": len(np.unique(scores.groups)),
        "seed": SEED,
        "threshold": metrics.THRESHOLD,
        "metrics": metrics.with_intervals(
            labels, probabilities, scores.groups, seed=SEED
        ),
        "best_balanced_accuracy": metrics.best_balanced_accuracy(
            labels, probabilities
        ),
        "confusion": metrics.confusion(labels, probabilities),
        "verdicts": metrics.verdict_table(labels, words["verdict"]),
        "unfamiliar": float(np.mean(words["reason"] == OUT_OF_DISTRIBUTION)),
        "coverage": coverage(labels, probabilities, calibration),
        "operating_points": operating_points(
            labels, probabilities, scores.groups, calibration, SEED
        ),
        "reliability": _reliability(labels, probabilities),
        # As it will be read back: JSON knows no tuples.
        "calibration": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(calibration).items()
        },
    }


def _reliability(
    labels: np.ndarray, probabilities: np.ndarray
) -> dict[str, Any]:
    mean, high = reliability.calibrated_error(probabilities, seed=SEED)
    table = reliability.reliability_bins(labels, probabilities)
    return {
        "error": reliability.expected_calibration_error(labels, probabilities),
        "error_by_chance": {"mean": mean, "high": high},
        "bins": {name: values.tolist() for name, values in table.items()},
    }


def load_split(
    detector: keras.Model,
    dataset: str | None,
    data_dir: str | None,
    split: str,
) -> data.FaceSplit:
    """Loads images to test a detector on, at its own size.

    Args:
        detector: a model from `dfk.models.load`.
        dataset: a TFDS name, or None for a folder.
        data_dir: the folder, which may hold one class only.
        split: the split.

    Raises:
        UserError: no such data, or no images in them.
    """
    size = detector.input_shape[1]
    loaded = data.load(
        dataset, data_dir, image_size=size, splits=(split,), one_class=True
    )
    return loaded.splits[split]


def _write_csv(
    path: Path, scores: Scores, words: dict[str, np.ndarray]
) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["id", "group", "label", "fake_probability", "ood_score", *words]
        )
        writer.writerows(
            zip(
                scores.ids,
                scores.groups,
                np.array(metrics.CLASSES)[scores.labels],
                scores.probabilities,
                scores.ood_score,
                *words.values(),
                strict=True,
            )
        )
    os.replace(partial, path)
