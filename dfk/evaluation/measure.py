"""Measures the detector of a run on one data set, and writes it all down."""

import collections
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dfk import data, models
from dfk.data import FaceSplit
from dfk.errors import UserError
from dfk.evaluation import guarantees, metrics, plots, records
from dfk.evaluation.records import Source
from dfk.files import write_json
from dfk.models.calibration import Calibration
from dfk.models.conformal import OUT_OF_DISTRIBUTION
from dfk.prediction.signatures import Outputs, forward_pass
from dfk.progress import track
from dfk.runs import Run, provenance

SEED = 0
BATCH_SIZE = 64


@dataclass(frozen=True)
class Scores:
    """What a detector said about each image of a split.

    Args:
        ids: str `[N]`, the images' names.
        groups: str `[N]`, images of one group are not independent.
        labels: int64 `[N]`, 0 for real and 1 for fake.
        probabilities: float32 `[N]` in 0..1, the probabilities of fake.
        ood_score: float32 `[N]`; above 1 is unlike the training images.
    """

    ids: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    ood_score: np.ndarray

    def verdicts(self, calibration: Calibration) -> dict[str, np.ndarray]:
        """The verdicts and their reasons.

        Args:
            calibration: the detector's.

        Returns:
            `verdict` and `reason`, str `[N]`.
        """
        found = models.verdicts(
            tf.constant(self.probabilities),
            tf.constant(self.ood_score),
            tf.constant([calibration.real_up_to, calibration.fake_down_to]),
        )
        return {name: _text(values.numpy()) for name, values in found.items()}


def evaluate(
    run_path: str | Path,
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str = "test",
    batch_size: int = BATCH_SIZE,
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
        batch_size: how many images are scored at a time.

    Returns:
        The record: the `metrics` with 95 % intervals, `confusion` counts at
        `threshold`, `verdicts`, the share `out_of_distribution`, `coverage`,
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
    source = records.source_of(run, dataset, data_dir, split)
    detector = models.load(run.path)
    images = load_split(detector, source)
    with data.unreadable_files():
        scores = score_split(detector, images, batch_size)
    calibration = models.score_layer(detector).calibration
    key = records.key_of(source, run.results.get("evaluation", {}))
    record = {
        **source._asdict(),
        "data_version": images.version,
        "command": records.command([run_path], source),
        **provenance(),
        **_measurements(scores, calibration),
        "files": _write_files(run, key, scores, calibration),
    }
    # Read only now: scoring took its time, in which others may have written.
    results = run.results
    evaluations = results.setdefault("evaluation", {})
    _keep_robustness(evaluations.get(key, {}), record)
    evaluations[key] = record
    write_json(run.results_path, results)
    return record


def _measurements(scores: Scores, calibration: Calibration) -> dict[str, Any]:
    scored = scores.labels, scores.probabilities
    verdicts = scores.verdicts(calibration)
    mean, high = metrics.calibrated_error(scores.probabilities, seed=SEED)
    bins = metrics.reliability_bins(*scored)
    return {
        "images": len(scores.labels),
        "groups": len(np.unique(scores.groups)),
        "seed": SEED,
        "threshold": metrics.THRESHOLD,
        "metrics": metrics.with_intervals(*scored, scores.groups, seed=SEED),
        "best_balanced_accuracy": metrics.best_balanced_accuracy(*scored),
        "confusion": metrics.confusion(*scored),
        "verdicts": metrics.verdict_table(scores.labels, verdicts["verdict"]),
        "out_of_distribution": float(
            np.mean(verdicts["reason"] == OUT_OF_DISTRIBUTION)
        ),
        "coverage": guarantees.coverage(*scored, calibration),
        "operating_points": guarantees.operating_points(
            *scored, scores.groups, calibration, SEED
        ),
        "reliability": {
            "error": metrics.expected_calibration_error(*scored),
            "error_by_chance": {"mean": mean, "high": high},
            "bins": {name: values.tolist() for name, values in bins.items()},
        },
        # As it will be read back: JSON knows no tuples.
        "calibration": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(calibration).items()
        },
    }


def _write_files(
    run: Run, key: str, scores: Scores, calibration: Calibration
) -> list[str]:
    """Writes the table of scores and the plots; all files of the record."""
    table = run.path / f"scores-{key}.csv"
    columns = {
        "id": scores.ids,
        "group": scores.groups,
        "label": np.array(metrics.CLASSES)[scores.labels],
        "fake_probability": scores.probabilities,
        "ood_score": scores.ood_score,
        **scores.verdicts(calibration),
    }
    rows = zip(*columns.values(), strict=True)
    records.write_table(table, list(columns), rows)
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
    """Takes over what took long, if it was measured on the same images."""
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


def score_split(
    detector: keras.Model, split: FaceSplit, batch_size: int = BATCH_SIZE
) -> Scores:
    """Scores every image of a split, with a progress bar.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.
        split: images of the detector's own size.
        batch_size: how many images are scored at a time.

    Returns:
        The scores, in the order of the split.

    Raises:
        UserError: images of another size than the detector's, none at all, or
            scores that are not numbers.

    Example:
        >>> score_split(detector, load(data_dir="faces")["test"]).labels
        array([0, 1, 1, 0])
    """
    _check_size(detector, split)
    network = compiled(detector)
    batches = split.examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    steps = -(-split.size // batch_size)
    columns: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    for batch in track(batches, f"scoring {split.name}", steps):
        outputs = network(batch.pop("image"))
        batch["probability"] = outputs.probability
        batch["ood_score"] = outputs.ood_score
        for name, values in batch.items():
            columns[name].append(values.numpy())
    if not columns["label"]:
        raise UserError(f"The {split.name} split holds no images to score.")
    probabilities = np.concatenate(columns["probability"])
    if not np.isfinite(probabilities).all():
        raise UserError(
            "The detector's scores are not numbers, which means that its "
            "training diverged: train it again with a lower learning rate."
        )
    return Scores(
        ids=_text(np.concatenate(columns["id"])),
        groups=_text(np.concatenate(columns["group"])),
        labels=np.concatenate(columns["label"]),
        probabilities=probabilities,
        ood_score=np.concatenate(columns["ood_score"]),
    )


def _text(values: np.ndarray) -> np.ndarray:
    """TensorFlow's strings, objects of bytes, as NumPy's."""
    return np.char.decode(values.astype(bytes))


def _check_size(detector: keras.Model, split: FaceSplit) -> None:
    expected = detector.input_shape[1]
    received = split.examples.element_spec["image"].shape[1]
    if received != expected:
        raise UserError(
            f"The detector takes images of {expected} pixels: load the data "
            f"with image_size={expected}. Received: images of {received} "
            "pixels."
        )


def compiled(detector: keras.Model) -> Callable[[tf.Tensor], Outputs]:
    """One graph for batches of any length, without XLA.

    Keras would compile `predict` with XLA, which takes minutes on a CPU.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A function of images, uint8 `[N, S, S, 3]`.
    """
    network = forward_pass(detector)

    @tf.function
    def run(images: tf.Tensor) -> Outputs:
        return network(tf.cast(images, tf.float32))

    images = tf.TensorSpec([None, *detector.input_shape[1:]], tf.uint8)
    return run.get_concrete_function(images)
