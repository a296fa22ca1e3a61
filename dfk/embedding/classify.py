"""Classifiers on frozen features, and the best of them as a run.

All choices are made before the test images are used: a classifier's settings
by cross-validation on the training images, the classifier on validation. Every
classifier can be expressed in a detector's graph (`dfk.models.from_sklearn`).
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from dfk import data, models
from dfk.data import FaceData, names
from dfk.data.folders import groups_of_each_class
from dfk.errors import UserError
from dfk.evaluation import metrics
from dfk.models import Calibration, calibration, out_of_distribution
from dfk.models.combination import Part, combine
from dfk.models.extractors import extractor
from dfk.models.features import Features, features
from dfk.models.from_sklearn import to_keras, vote_logits
from dfk.progress import track
from dfk.runs import Run, provenance
from dfk.training import ensemble
from dfk.training.ensemble import WeightedSum

FOLDS = 3
# Features of several stages are thousands, most of them nearly copies of each
# other; distances are cheaper, and less noisy, between principal components.
COMPONENTS = 256


class FlooredScaler(StandardScaler):
    """Standardises features; one that is all but dead stays small.

    A channel that hardly ever fires in training would otherwise explode on
    the first image that makes it fire. The same floor is under the
    `features_norm` of a detector.
    """

    def fit(self, features, labels=None, sample_weight=None):
        """Fits mean and deviation, and lifts the smallest deviations."""
        super().fit(features, labels, sample_weight)
        floor = 1e-2 * np.median(self.var_) + 1e-12
        self.scale_ = np.sqrt(np.maximum(self.var_, floor))
        return self


@dataclass(frozen=True)
class Kind:
    """A kind of classifier.

    Args:
        title: its name in words.
        estimator: the last step of the pipeline.
        grid: the settings to choose from, by name.
        scaled: whether features are standardised first.
        reduced: whether many features are reduced to `COMPONENTS`.
    """

    title: str
    estimator: BaseEstimator
    grid: dict[str, tuple]
    scaled: bool = True
    reduced: bool = False


KINDS = {
    # The strength of the L2 penalty is all there is to choose. From as strong
    # as thousands of features on hundreds of images need, to almost none.
    "logistic_regression": Kind(
        "logistic regression",
        LogisticRegression(max_iter=1000),
        {"C": (1e-3, 1e-2, 1e-1, 1.0)},
    ),
    # gamma="scale" makes the kernel as wide as the data. On the Kaggle subset
    # a third of it was within .002 of ROC AUC in cross-validation, and three
    # times as much .03 worse.
    "svm": Kind(
        "SVM, RBF kernel",
        SVC(gamma="scale", cache_size=500),
        {"C": (2.0, 8.0, 32.0)},
        reduced=True,
    ),
    # Few neighbours follow every image, many give a finer probability.
    "neighbors": Kind(
        "k nearest neighbours",
        KNeighborsClassifier(weights="distance", algorithm="brute"),
        {"n_neighbors": (5, 15, 45)},
        reduced=True,
    ),
    # Shallow trees, each on half the images and a few of the features:
    # what makes boosting affordable here also keeps it from overfitting
    # (Friedman, "Stochastic Gradient Boosting", 2002).
    "boosting": Kind(
        "gradient boosting",
        GradientBoostingClassifier(
            n_estimators=300,
            learning_rate=0.1,
            subsample=0.5,
            max_features="sqrt",
            random_state=0,
        ),
        {"max_depth": (2, 4)},
        scaled=False,
    ),
}


@dataclass(frozen=True)
class Classifier:
    """A kind of classifier, fitted on one kind of features.

    Args:
        kind: a key of `KINDS`.
        features: the name of the features.
        pipeline: fitted on all training images with the best settings.
        settings: which these are.
        cv_auc: their ROC AUC in cross-validation, the best of the grid.
    """

    kind: str
    features: str
    pipeline: Pipeline
    settings: dict[str, float]
    cv_auc: float

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Features `[N, D]` to uncalibrated logits of fake `[N, 1]`."""
        if self.kind != "neighbors":
            return self.pipeline.decision_function(values)[:, None]
        shares = self.pipeline.predict_proba(values)[:, 1:]
        return vote_logits(shares, self.pipeline[-1].n_neighbors)


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
    run = ensemble.new_run(workdir, "classifier")
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
    run.finish(detector, {"classification": provenance() | record})
    # What makes a folder a run comes last: nothing could go on with half of it.
    run.write_config(config)
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

    classifiers = _fit_all(known("train"))
    validation = known("validation")
    logits = [
        each.logits(validation[each.features].values) for each in classifiers
    ]
    # Their labels and groups are the same for all features.
    validation = next(iter(validation.values()))
    # Hundreds of fits of one weight each: threads would wait for each other.
    with threadpool_limits(1):
        rows = [
            _row(each, values, validation)
            for each, values in zip(classifiers, logits, strict=True)
        ]
        scalings = [_scale(values, validation.labels) for values in logits]
    best = min(
        range(len(rows)), key=lambda row: rows[row]["validation"]["log_loss"]
    )
    network = networks[classifiers[best].features]
    detector = _detector(classifiers[best], network, *scalings[best])
    out_of_distribution.fit(
        detector, faces.splits["train"], faces.splits["validation"]
    )
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
    with tempfile.TemporaryDirectory(prefix="dfk-") as memory:
        return [
            fit(kind, name, training[name], memory)
            for kind, name in track(jobs, "fitting classifiers", len(jobs))
        ]


def fit(
    kind: str, name: str, training: Features, memory: str | None = None
) -> Classifier:
    """Fits one kind of classifier, with settings chosen by cross-validation.

    Args:
        kind: a key of `KINDS`.
        name: the name of the features.
        training: features of the training images; images of one group
            stay in one fold.
        memory: a folder in which scalings and reductions are kept, for other
            settings and kinds that start with the same ones.

    Returns:
        The classifier with the highest ROC AUC in cross-validation.

    Raises:
        UserError: there are too few groups to hold any out.

    Example:
        >>> fit("svm", "embedding", features(network, split)).cv_auc
        0.87
    """
    labels, groups = training.labels, training.groups
    fewest = groups_of_each_class(labels, groups)
    if fewest < FOLDS:
        raise UserError(
            "Choosing a classifier's settings needs training pictures of at "
            f"least {FOLDS} groups of each class. Received: {fewest}."
        )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    search = GridSearchCV(
        _pipeline(KINDS[kind], training.values, memory),
        _grid(KINDS[kind], len(labels) // 2),
        scoring="roc_auc",
        cv=folds,
    ).fit(training.values, labels, groups=groups)
    settings = {
        key.partition("__")[2]: value
        for key, value in search.best_params_.items()
    }
    return Classifier(
        kind, name, search.best_estimator_, settings, float(search.best_score_)
    )


def _grid(kind: Kind, most: int) -> dict[str, list[float]]:
    """The settings to try; no more neighbours than a fold has images."""
    return {
        f"classifier__{name}": sorted(
            {
                min(value, most) if name == "n_neighbors" else value
                for value in values
            }
        )
        for name, values in kind.grid.items()
    }


def _pipeline(kind: Kind, values: np.ndarray, memory: str | None) -> Pipeline:
    steps = []
    if kind.scaled:
        steps.append(("scaler", FlooredScaler()))
    images, width = values.shape
    # A fold of the training images has fewer of them.
    components = min(COMPONENTS, images // 2)
    if kind.reduced and width > components:
        reduction = PCA(components, svd_solver="randomized", random_state=0)
        steps.append(("reduction", reduction))
    return Pipeline([*steps, ("classifier", kind.estimator)], memory=memory)


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
    scores = expit(logits / calibrated.temperature + calibrated.bias)
    measured = metrics.measure(test.labels, scores)
    return {name: measured[name] for name in ("accuracy", "roc_auc")}
