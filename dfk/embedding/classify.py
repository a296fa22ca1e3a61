"""Classifiers on frozen features, and the best of them as a run.

All choices are made before the test images are used: a classifier's settings
by cross-validation on the training images (`dfk.embedding.classifiers`), the
classifier on validation.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from threadpoolctl import threadpool_limits

from dfk import data, models
from dfk.data import FaceData, names
from dfk.embedding.classifiers import KINDS, Classifier, fit
from dfk.errors import UserError
from dfk.evaluation import metrics
from dfk.files import scratch_dir
from dfk.models import Calibration, calibration, out_of_distribution
from dfk.models.combination import Part, combine
from dfk.models.extractors import extractor
from dfk.models.features import Features, features
from dfk.models.from_sklearn import to_keras
from dfk.progress import track
from dfk.provenance import provenance
from dfk.runs import Run, new_run
from dfk.training import ensemble
from dfk.training.ensemble import WeightedSum


def classify(
    dataset: str,
    model: str = "facenet",
    workdir: str | Path | None = None,
    limit: int | None = None,
    image_size: int | None = None,
) -> tuple[Run, dict[str, Any]]:
    """Fits every kind of classifier on every kind of features.

    The best on validation is written as a finished run: a detector of one
    graph, from pixels to the calibrated probability of fake.

    Args:
        dataset: a TFDS name, or a folder `{train,valid,test}/{real,fake}/*`.
        model: the detector whose pretrained features of several stages are
            used beside FaceNet's embedding.
        workdir: the run's folder; by default a new one under `runs/`.
        limit: takes only the first images of each split, as `dfk.data.load`.
        image_size: the side of the images; the data set's own by default.

    Returns:
        The run; and the record, which is in its `results.json` as
        `classification`: the `classifiers`, each with its `name`, `settings`
        and `cv_auc` and what it is worth on `validation` and on `test`, and
        the name of the `chosen` one.

    Raises:
        UserError: data or weights that are not available, or a folder that
            holds a run already.

    Example:
        >>> run, record = classify("faces")
        >>> record["chosen"]
        'SVM, RBF kernel (facenet stages)'
    """
    started = time.monotonic()
    run = new_run(workdir, "classifier")
    dataset, data_dir = names.name_or_folder(dataset, None)
    faces = data.load(dataset, data_dir, image_size=image_size, limit=limit)
    networks = _networks(model, faces.image_size)
    with data.unreadable_files():
        detector, record = _choose(networks, faces)
    record["seconds"] = round(time.monotonic() - started, 1)
    config = {
        "model": detector.name,
        "dataset": dataset,
        "data_dir": names.absolute(data_dir),
        "image_size": faces.image_size,
        "limit": limit,
        "features": model,
    }
    run.write(detector, {"classification": provenance() | record}, config)
    return run, record


def _networks(model: str, image_size: int) -> dict[str, keras.Model]:
    """What makes features of images, by the features' name."""
    if not models.get(model).weights:
        raise UserError(
            f"{model} has no pretrained features: pass --model=facenet; or "
            "train it, and combine its run with that of the best classifier "
            "by `python -m dfk.ensemble`."
        )
    return {
        "embedding": extractor("facenet", image_size),
        f"{model} stages": models.embedder(models.build(model, image_size)),
    }


def _choose(
    networks: dict[str, keras.Model], faces: FaceData
) -> tuple[keras.Model, dict[str, Any]]:
    """The best classifier as a detector, and the record of all of them."""

    def known(split: str) -> dict[str, Features]:
        return {
            name: features(network, faces.splits[split])
            for name, network in networks.items()
        }

    training, validation = known("train"), known("validation")
    classifiers = _fit_all(training)
    logits = [
        each.logits(validation[each.features].values) for each in classifiers
    ]
    # Their labels and groups are the same for all features.
    answers = next(iter(validation.values()))
    # Hundreds of fits of one weight each: threads would wait for each other.
    with threadpool_limits(1):
        rows = [
            _row(each, values, answers)
            for each, values in zip(classifiers, logits, strict=True)
        ]
        scalings = [_scale(values, answers.labels) for values in logits]
    best = min(
        range(len(rows)), key=lambda row: rows[row]["validation"]["log_loss"]
    )
    seen = classifiers[best].features
    detector = _detector(classifiers[best], networks[seen], *scalings[best])
    few = training[seen].values[: out_of_distribution.TRAINING_IMAGES]
    out_of_distribution.fit(detector, few, [validation[seen].values])
    # Nothing is chosen from here on.
    test = known("test")
    for row, each, scaling in zip(rows, classifiers, scalings, strict=True):
        row["test"] = _tested(each, test[each.features], *scaling)
    return detector, {
        "classifiers": rows,
        "chosen": rows[best]["name"],
        "validation_images": faces.splits["validation"].size,
        "test_images": faces.splits["test"].size,
    }


def _fit_all(training: dict[str, Features]) -> list[Classifier]:
    """Every kind of classifier on every kind of features."""
    jobs = [(kind, name) for name in training for kind in KINDS]
    with tempfile.TemporaryDirectory(
        prefix="dfk-", dir=scratch_dir()
    ) as memory:
        return [
            fit(kind, name, training[name], memory)
            for kind, name in track(jobs, "fitting classifiers", len(jobs))
        ]


def _row(
    classifier: Classifier, logits: np.ndarray, validation: Features
) -> dict[str, Any]:
    """What is known of a classifier before the test images are used."""
    held_out = ensemble.held_out_logits(
        logits, validation.labels, validation.groups
    )
    return {
        "name": f"{KINDS[classifier.kind].title} ({classifier.features})",
        "settings": classifier.settings,
        "cv_auc": classifier.cv_auc,
        "validation": ensemble.measure(held_out, validation.labels),
    }


def _scale(
    logits: np.ndarray, labels: np.ndarray
) -> tuple[WeightedSum, Calibration]:
    """Makes scores of any scale log-odds, and then calibrates these."""
    log_odds = ensemble.fit(logits, labels)
    return log_odds, calibration.fit(log_odds(logits), labels)


def _detector(
    classifier: Classifier,
    network: keras.Model,
    log_odds: WeightedSum,
    calibrated: Calibration,
) -> keras.Model:
    """A classifier in a detector's graph."""
    head = to_keras(classifier.pipeline, classifier.kind)
    part = Part(classifier.kind, network, head)
    detector = combine([part], log_odds.weights, log_odds.bias, part.name)
    models.score_layer(detector).calibration = calibrated
    return detector


def _tested(
    classifier: Classifier,
    test: Features,
    log_odds: WeightedSum,
    calibrated: Calibration,
) -> dict[str, float]:
    """The `accuracy` and `roc_auc` of a classifier on the test images."""
    logits = log_odds(classifier.logits(test.values))
    scores = calibration.probabilities(logits, calibrated)
    measured = metrics.measure(test.labels, scores)
    return {name: measured[name] for name in ("accuracy", "roc_auc")}
