"""Several trained detectors as one, with weights fitted on validation.

The ensemble's logit is a weighted sum of its members' logits (stacked
generalization). Fitted freely on a hundred images, the weights would follow
chance. So they leave the plain mean only as far as the images demand it:

1. The logits of each member, whatever their scale, are scaled to log-odds
   first (Platt 1999). The plain mean of log-odds is a sensible answer without
   any fit, and a member that knows nothing is scaled down to almost nothing.
2. The weights are those of a logistic regression. They are at least 0
   (Breiman 1996: a negative weight is nearly always an accident), and a normal
   prior draws them towards their own mean. Their sum is free: members whose
   errors differ are surer together than each by itself.

The figures of the ensemble on validation, and its calibration, come from
logits of images that were held out when the weights were fitted. Members that
were chosen among their epochs on the same images are flattered a little.

Reference:
    Wolpert, "Stacked Generalization", Neural Networks 1992; Breiman, "Stacked
    Regressions", Machine Learning 1996; Genest & Zidek, "Combining Probability
    Distributions", Statistical Science 1986 (pooling of log-odds); Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy import optimize, special
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from dfk import data, models
from dfk.data import FaceData, names
from dfk.data.groups import groups_of_each_class
from dfk.errors import UserError
from dfk.models import calibration, out_of_distribution
from dfk.models.combination import combine, flatten
from dfk.models.features import compute, features
from dfk.provenance import provenance
from dfk.runs import Run, new_run

# The prior's deviation in shares of the mean weight. In simulations with 100
# images and 2 to 4 members of ROC AUC .5 to .98, errors correlated by .3 and
# .6, half as much cost up to .007 of AUC where members were unequal, and no
# prior cost .0007 where they were alike; 1 was near the best everywhere.
SPREAD = 1.0
FOLDS = 5
# One division into folds is a matter of chance, the mean of several less so.
REPEATS = 5


def fit_ensemble(
    runs: Sequence[Run],
    dataset: str | None,
    data_dir: str | None,
    limit: int | None = None,
    workdir: str | Path | None = None,
) -> tuple[Run, dict[str, Any]]:
    """Combines the detectors of runs, and writes the ensemble as a run.

    Weights, calibration and the out-of-distribution limit are fitted on the
    validation split. The test split is not touched.

    Args:
        runs: finished ones, whose detectors have one image size and were
            trained on these data.
        dataset: a TFDS name; or None for a folder.
        data_dir: the folder.
        limit: takes only the first images of each split, as `dfk.data.load`.
        workdir: the ensemble's folder; by default a new one under `runs/`.

    Returns:
        The run; and the record, which is in its `results.json` as `ensemble`:
        of each of the `members` and of the `ensemble` itself `log_loss` and
        `roc_auc` on validation, and of a member its `run` and its `share`,
        a share in 0..1.

    Raises:
        UserError: data that are not available, runs of different image sizes,
            or a folder that holds a run already.

    Example:
        >>> runs = finished(["runs/facenet", "runs/cnn"])
        >>> run, record = fit_ensemble(runs, None, "faces")
        >>> record["ensemble"]["roc_auc"]
        0.982
    """
    started = time.monotonic()
    target = new_run(workdir, "ensemble")
    dataset, data_dir = names.name_or_folder(dataset, data_dir)
    detectors, image_size = _load(runs)
    splits = ("train", "validation")
    faces = data.load(dataset, data_dir, image_size, splits, limit=limit)
    with data.unreadable_files():
        ensemble, record = _combined(runs, detectors, faces)
    record["seconds"] = round(time.monotonic() - started, 1)
    config = {
        "model": ensemble.name,
        "dataset": dataset,
        "data_dir": names.absolute(data_dir),
        "image_size": image_size,
        "limit": limit,
        "runs": [str(run.path) for run in runs],
    }
    target.write(ensemble, {"ensemble": provenance() | record}, config)
    return target, record


def _combined(
    runs: Sequence[Run], detectors: Sequence[keras.Model], faces: FaceData
) -> tuple[keras.Model, dict[str, Any]]:
    """The ensemble, and how well it and its members do on validation."""
    training, validation = faces.splits["train"], faces.splits["validation"]
    answers = [
        features(models.logit_model(detector), validation)
        for detector in detectors
    ]
    logits = np.concatenate([answer.values for answer in answers], axis=1)
    labels, groups = answers[0].labels, answers[0].groups
    held_out = held_out_logits(logits, labels, groups)
    stack = fit(logits, labels)
    ensemble = combine(
        *flatten(detectors, stack.weights, stack.bias), "ensemble"
    )
    parts = faces.parts or (faces,)
    validations = [part.splits["validation"] for part in parts]
    models.score_layer(ensemble).calibration = calibration.fit(
        held_out,
        labels,
        sources=np.repeat(
            np.arange(len(parts)), [split.size for split in validations]
        ),
    )
    few = training.first(out_of_distribution.TRAINING_IMAGES)
    network = models.embedder(ensemble)
    out_of_distribution.fit(
        ensemble,
        compute(network, few).values,
        [compute(network, split).values for split in validations],
    )
    members = [
        {
            "run": str(run.path),
            **measure(held_out_logits(column, labels, groups), labels),
            "share": share,
        }
        for run, column, share in zip(
            runs, logits.T[:, :, None], stack.shares(logits), strict=True
        )
    ]
    return ensemble, {
        "members": members,
        "ensemble": measure(held_out, labels),
        "validation_images": len(labels),
    }


@dataclass(frozen=True)
class WeightedSum:
    """A weighted sum of members' logits.

    Args:
        weights: float `[K]`, of the raw logits.
        bias: is added to the sum.
    """

    weights: np.ndarray
    bias: float

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Logits of the members `[N, K]` to log-odds `[N]`."""
        return logits @ self.weights + self.bias

    def shares(self, logits: np.ndarray) -> list[float]:
        """How much of the sum's variation each member brings, 0..1.

        Weights alone say little, since every member's logits have a scale of
        their own.
        """
        deviations = self.weights * np.std(logits, axis=0)
        return (deviations / deviations.sum()).tolist()


def fit(logits: np.ndarray, labels: np.ndarray) -> WeightedSum:
    """Fits weights and bias.

    Args:
        logits: float `[N, K]`, each member's raw logits of validation images.
        labels: int `[N]`, 0 for real and 1 for fake.

    Returns:
        The sum. One member by itself is scaled to log-odds, and nothing else.

    Example:
        >>> fit(np.stack([facenet, cnn], axis=1), labels).weights
        array([0.71, 0.29])
    """
    deviations = logits.std(axis=0)
    factors = 1 / np.where(deviations > 0, deviations, 1)
    # Platt's scaling of each member. Its biases are left out: the sum has one.
    factors *= [
        _regression(column[:, None], labels)[0][0]
        for column in np.transpose(logits * factors)
    ]
    weights, bias = _regression(logits * factors, labels)
    return WeightedSum(weights * factors, bias)


def _regression(
    logits: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, float]:
    """The most probable weights and bias, given labels and the prior.

    Of one member there is no prior, and this is Platt's scaling.
    """
    members = logits.shape[1]
    # Finite where the classes are separated.
    targets = _platts_targets(labels)
    precision = (members / SPREAD) ** 2

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        x = logits @ weights + bias
        from_mean = weights - weights.mean()
        error = special.expit(x) - targets
        loss = np.sum(np.logaddexp(0, x) - targets * x)
        gradient = np.append(
            error @ logits + precision * from_mean, error.sum()
        )
        return loss + precision * from_mean @ from_mean / 2, gradient

    found = optimize.minimize(
        objective,
        x0=[*[1 / members] * members, 0.0],
        jac=True,
        method="L-BFGS-B",
        # Not quite 0, so that the shares of useless members are numbers too.
        bounds=[*[(1e-6, None)] * members, (None, None)],
    ).x
    return found[:-1], float(found[-1])


def _platts_targets(labels: np.ndarray) -> np.ndarray:
    """Softens the labels of few images, as Platt (1999) does.

    The target of a fake is (n + 1) / (n + 2) for n fakes, instead of 1, and
    that of a real 1 / (n + 2) for n reals, instead of 0.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.

    Returns:
        The targets, float `[N]`, between 0 and 1.
    """
    fakes = int(np.sum(labels))
    reals = len(labels) - fakes
    return np.where(labels, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


def held_out_logits(
    logits: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Log-odds of images that were held out when the weights were fitted.

    Args:
        logits: float `[N, K]`, the members' raw logits.
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, images of one group are held out together.

    Returns:
        float `[N]`, log-odds: for each image the mean over `REPEATS` divisions
        into folds.

    Raises:
        UserError: there are too few groups to hold any out.

    Example:
        >>> measure(held_out_logits(logits, labels, groups), labels)
        {'log_loss': 0.31, 'roc_auc': 0.951}
    """
    fewest = groups_of_each_class(labels, groups)
    if fewest < 2:
        raise UserError(
            "Comparing detectors needs validation pictures of at least "
            f"two groups of each class. Received: {fewest}."
        )
    mean = np.zeros(len(labels))
    for seed in range(REPEATS):
        folds = StratifiedGroupKFold(
            min(FOLDS, fewest), shuffle=True, random_state=seed
        )
        for fitted, held_out in folds.split(logits, labels, groups):
            stack = fit(logits[fitted], labels[fitted])
            mean[held_out] += stack(logits[held_out]) / REPEATS
    return mean


def measure(log_odds: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Measures log-odds by their log loss and ROC AUC.

    A log loss is moved by every image, where accuracy and ROC AUC on a hundred
    of them only move in steps, and it asks for calibrated probabilities. So it
    is what choices are made by.

    Args:
        log_odds: float `[N]`, of fake.
        labels: int `[N]`, 0 for real and 1 for fake.

    Returns:
        `log_loss` in nats an image, and `roc_auc`.
    """
    return {
        "log_loss": float(log_loss(labels, special.expit(log_odds))),
        "roc_auc": float(roc_auc_score(labels, log_odds)),
    }


def _load(runs: Sequence[Run]) -> tuple[list[keras.Model], int]:
    """The runs' detectors, and the image size that they have in common."""
    detectors = [models.load(run.path) for run in runs]
    sizes = {
        detector.input_shape[1]: run.path
        for run, detector in zip(runs, detectors, strict=True)
    }
    if len(sizes) > 1:
        named = ", ".join(f"{path}: {size}" for size, path in sizes.items())
        raise UserError(
            "Only detectors of one image size can be combined: train them "
            f"with the same --image_size. Received: {named}."
        )
    return detectors, next(iter(sizes))
