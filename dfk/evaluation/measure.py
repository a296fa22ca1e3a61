"""Measures the detector of a run on one data set, and writes it all down."""

import collections
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dfk import data, models
from dfk.data import FaceSplit, names
from dfk.errors import UserError
from dfk.evaluation import guarantees, metrics, plots, records
from dfk.evaluation.by_source import by_source
from dfk.evaluation.records import Scores, Source
from dfk.evaluation.statistics import SEED
from dfk.models.calibration import Calibration
from dfk.models.conformal import OUT_OF_DISTRIBUTION
from dfk.models.features import require_numbers
from dfk.prediction.signatures import answers, forward_pass
from dfk.progress import track
from dfk.provenance import provenance
from dfk.runs import Run

BATCH_SIZE = 64


def evaluate(
    run_path: str | Path,
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str = "test",
) -> dict[str, Any]:
    """Scores a split with a run's detector and records the results.

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

    Returns:
        The record: the `metrics` with 95 % intervals, `confusion` counts at
        `threshold`, `verdicts`, the share `out_of_distribution`, `coverage`,
        `operating_points`, `reliability`, `calibration`, of several data sets
        each of the `sources` by itself, and what they were measured on, with
        what, where and when. `files` are relative to the run.

    Raises:
        UserError: no finished run, no such data, or no images to score.

    Example:
        >>> record = evaluate("runs/facenet", data_dir="other_faces")
        >>> record["metrics"]["roc_auc"]["value"]
        0.734
    """
    run = Run.finished(run_path)
    source = records.source_of(run, dataset, data_dir, split)
    detector = models.load(run.path)
    images = load_split(detector, source)
    with data.unreadable_files():
        scores = score_split(detector, images)
    calibration = models.score_layer(detector).calibration
    key = records.key_of(source, run.results.get("evaluation", {}))
    record = {
        **source._asdict(),
        "data_version": images.version,
        "command": records.command([run], source),
        **provenance(),
        **_measurements(scores, calibration),
        "sources": _by_source(source, scores),
        "files": _write_files(run, key, scores, calibration),
    }
    # Scoring took its time, in which others may have written.
    with run.updating_results() as results:
        evaluations = results.setdefault("evaluation", {})
        _keep_robustness(evaluations.get(key, {}), record)
        evaluations[key] = record
    return record


def _measurements(scores: Scores, calibration: Calibration) -> dict[str, Any]:
    scored = scores.labels, scores.probabilities
    mean, high = metrics.calibrated_error(scores.probabilities)
    bins = metrics.reliability_bins(*scored)
    return {
        "images": len(scores.labels),
        "groups": len(np.unique(scores.groups)),
        "seed": SEED,
        "threshold": metrics.THRESHOLD,
        "metrics": metrics.with_intervals(*scored, scores.groups),
        "best_balanced_accuracy": metrics.best_balanced_accuracy(*scored),
        "confusion": metrics.confusion(*scored),
        "verdicts": metrics.verdict_table(scores.labels, scores.verdicts),
        "out_of_distribution": float(
            np.mean(scores.reasons == OUT_OF_DISTRIBUTION)
        ),
        "coverage": guarantees.coverage(*scored, calibration),
        "operating_points": guarantees.operating_points(
            *scored, scores.groups, calibration
        ),
        "reliability": {
            "error": metrics.expected_calibration_error(*scored),
            "error_by_chance": {"mean": mean, "high": high},
            "bins": {name: values.tolist() for name, values in bins.items()},
        },
        # As it will be read back: JSON knows no tuples.
        "calibration": json.loads(json.dumps(dataclasses.asdict(calibration))),
    }


def _by_source(source: Source, scores: Scores) -> list[dict[str, Any]]:
    """The rows of several data sets; none of a single one."""
    sources = names.split(source.place)
    if len(sources) == 1:
        return []
    rows = by_source(scores, names.prefixes(sources))
    return [row._asdict() for row in rows]


def _write_files(
    run: Run, key: str, scores: Scores, calibration: Calibration
) -> list[str]:
    """Writes the table of scores and the plots; all files of the record."""
    table = records.write_scores(run, key, scores)
    images = plots.write_all(
        run.path / "plots",
        key,
        scores.labels,
        scores.probabilities,
        calibration.uncertain,
    )
    files = [run.results_path, table, *images]
    return [str(file.relative_to(run.path)) for file in files]


def _keep_robustness(earlier: dict[str, Any], record: dict[str, Any]) -> None:
    """Keeps the robustness grid, which takes long, of the same images."""
    if "robustness" not in earlier:
        return
    version = record["data_version"]
    if earlier.get("data_version", version) == version:
        record["robustness"] = earlier["robustness"]
    else:
        print(
            "The pictures, or how they are read, have changed: what "
            "--robustness measured before is left out."
        )


def load_split(detector: keras.Model, source: Source) -> FaceSplit:
    """Loads images to test a detector on, at its own size.

    Args:
        detector: a model from `dfk.models.load`.
        source: which images; a folder may hold one class only.

    Raises:
        UserError: no such data, or no images in them.
    """
    loaded = data.load(
        source.dataset,
        source.data_dir,
        image_size=detector.input_shape[1],
        splits=(source.split,),
        one_class=True,
    )
    return loaded.splits[source.split]


def score_split(detector: keras.Model, split: FaceSplit) -> Scores:
    """Scores every image of a split, with a progress bar.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.
        split: images of the detector's own size.

    Returns:
        The scores, in the order of the split.

    Raises:
        UserError: images of another size than the detector's, none at all, or
            scores that are not numbers.

    Example:
        >>> score_split(detector, load(data_dir="faces")["test"]).labels
        array([0, 1, 1, 0])
    """
    expected = detector.input_shape[1]
    received = split.examples.element_spec["image"].shape[1]
    if received != expected:
        raise UserError(
            f"The detector takes images of {expected} pixels: load the data "
            f"with image_size={expected}. Received: images of {received} "
            "pixels."
        )
    title = f"scoring {split.name}"
    columns = score(detector, split.examples, split.size, title)
    if not columns:
        raise UserError(f"The {split.name} split holds no images to score.")
    scores = Scores(
        ids=columns["id"],
        groups=columns["group"],
        labels=columns["label"],
        **{name: columns[name] for name in Scores._fields[3:]},
    )
    require_numbers(scores.probabilities)
    return scores


def score(
    detector: keras.Model, examples: tf.data.Dataset, count: int, title: str
) -> dict[str, np.ndarray]:
    """Scores examples, with a progress bar.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.
        examples: dictionaries with an `image` of the detector's own size.
        count: how many examples there are.
        title: of the progress bar.

    Returns:
        All that the examples hold but their images, and the `probabilities`,
        `ood_score`, `verdicts`, `reasons` and `families` of `Scores`, each
        `[N]`; nothing without examples.
    """
    network = _compiled(detector)
    batches = examples.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    columns: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    for batch in track(batches, title, -(-count // BATCH_SIZE)):
        found = network(batch.pop("image"))
        for name, values in (batch | found).items():
            columns[name].append(values.numpy())
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    # TensorFlow's strings are objects of bytes.
    return {
        name: np.char.decode(values.astype(bytes))
        if values.dtype == object
        else values
        for name, values in joined.items()
    }


def _compiled(
    detector: keras.Model,
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """One graph for batches of any length, uint8 `[N, S, S, 3]`, without XLA.

    Keras would compile `predict` with XLA, which takes minutes on a CPU.
    """
    network = forward_pass(detector)
    limits = models.score_layer(detector).limits

    @tf.function
    def run(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(tf.cast(images, tf.float32))
        found = answers(outputs, limits)
        return {
            "probabilities": found["fake_probability"],
            "ood_score": outputs.ood_score,
            "verdicts": found["verdict"],
            "reasons": found["reason"],
            "families": found["family"],
        }

    images = tf.TensorSpec([None, *detector.input_shape[1:]], tf.uint8)
    return run.get_concrete_function(images)
