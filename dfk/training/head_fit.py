"""Phase one: the head on a frozen backbone, solved exactly.

On frozen features the last layer is a logistic regression. That is a convex
problem, which scikit-learn solves in seconds, with no learning rate to choose.
A recipe may ask for least squares instead, which take one step and carry over
further. The backbone computes the features of every training image and its
mirror image once; they are cached until weights, image size or data change.

A detector without pretrained weights has no useful features at first. Its
training ends with this instead.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold

from dfk import models
from dfk.data import FaceSplit
from dfk.data.groups import groups_of_each_class
from dfk.models import named_layers, pooled_flips
from dfk.models.conformal import balanced
from dfk.models.features import Features, backbone_features, floored
from dfk.training import least_squares, strategies

FOLDS = 3
# How many bytes of features a head is fitted on: 22,795 images with the widest,
# facenet's. scikit-learn needs more than three times as much beside them.
MEMORY_LIMIT = 2 << 30
# How far apart the logits of a class's target and of 0 are. It decides how much
# families beside the likeliest one add to a score; calibration does the rest.
SHARPNESS = 20.0


class Source(NamedTuple):
    """Images to fit a head on.

    Args:
        family: the name of their fakes.
        split: the images.
        weight: how much they count among several families, where a family
            counts 1.
    """

    family: str
    split: FaceSplit
    weight: float = 1.0


class KnownSource(NamedTuple):
    """A `Source` whose features are known.

    Args:
        family: the name of its fakes.
        features: of its images, `[N, F, D]`.
        weight: as in `Source`.
    """

    family: str
    features: Features
    weight: float = 1.0


class _Rows(NamedTuple):
    """What a regression is fitted to, N rows.

    Args:
        values: float32 `[N, D]`, features.
        classes: int `[N]`: 0 for real, and 1 on for the families of fakes.
        weights: float `[N]`, with the mean 1; None if all weigh the same.
        groups: `[N]`; rows of one group are not independent.
        images: how many images they are of.
    """

    values: np.ndarray
    classes: np.ndarray
    weights: np.ndarray | None
    groups: np.ndarray
    images: int


def fit_head(
    model: keras.Model,
    training: Sequence[Source],
    strategy: tf.distribute.Strategy,
    recipe: models.Recipe,
    keep_features: bool = True,
) -> dict[str, float]:
    """Fits the head of a detector to the features of its backbone.

    Args:
        model: a detector whose backbone has useful weights.
        training: images to fit the regression on. Where their features would
            take more than `MEMORY_LIMIT`, the first images of each source.
        strategy: its workers end with equal weights.
        recipe: says which regression: with `ridge`, least squares; else
            a logistic regression, for which cross-validation that keeps groups
            of images together chooses one of the `penalties`.
        keep_features: whether the features are read from the cache and kept
            there; those of a backbone that was just trained are used once.

    Returns:
        What `fit_to_features` returns.
    """
    splits = within_memory(model, training)
    found = [backbone_features(model, split, keep_features) for split in splits]
    features = [
        KnownSource(source.family, each, source.weight)
        for source, each in zip(training, found, strict=True)
    ]
    return fit_to_features(model, features, recipe, strategy)


def fit_to_features(
    model: keras.Model,
    sources: Sequence[KnownSource],
    recipe: models.Recipe,
    strategy: tf.distribute.Strategy | None = None,
) -> dict[str, float]:
    """Sets the layers `features_norm` and `logit` by a regression.

    Of a detector that knows several families of fakes, each family is a class
    of the regression. Real and fake then weigh the same, and within each every
    source has its weight; otherwise the largest would decide.

    Args:
        model: a detector, or its head alone.
        sources: what to fit it to.
        recipe: as in `fit_head`.
        strategy: its workers end with equal weights; one process if None.

    Returns:
        The `method`, its `penalty`, and the numbers of `features` and of
        `images`.
    """
    rows = _rows(model, sources)
    mean = rows.values.mean(axis=0)
    variance = floored(rows.values.var(axis=0))
    # In place, since many images have gigabytes of features.
    values = rows.values
    values -= mean
    values /= np.sqrt(variance)
    if recipe.ridge is None:
        method = "logistic regression"
        regression, penalty = _regression(rows, recipe.penalties)
        kernel, bias = regression.coef_.T, regression.intercept_
    else:
        method, penalty = "ridge regression", recipe.ridge
        kernel, bias = map(
            _as_logits,
            least_squares.fit(values, rows.classes, rows.weights, penalty),
        )
    last = named_layers.LOGIT
    if models.knows_families(model):
        last = named_layers.CLASSES
    fitted = [mean, variance, kernel, bias]
    if strategy is not None:
        fitted = [strategies.agree(strategy, weight) for weight in fitted]
    model.get_layer(named_layers.FEATURES_NORM).set_weights(fitted[:2])
    model.get_layer(last).set_weights(fitted[2:])
    return {
        "method": method,
        "penalty": penalty,
        "features": rows.values.shape[1],
        "images": rows.images,
    }


def left_out_logits(
    model: keras.Model, sources: Sequence[KnownSource], recipe: models.Recipe
) -> list[np.ndarray]:
    """Logits of training images as if they had not been trained on.

    Each is of a head that was fitted without the image's group. So they can be
    calibrated on, where validation has few images.

    Args:
        model: after `fit_to_features`.
        sources: what its head was fitted to.
        recipe: as in `fit_to_features`.

    Returns:
        The logits of each source, float32 `[N]`. None at all where that would
        take long: of a logistic regression, and of so many images that the
        regression has more rows than features, which need none. Nor where the
        images are of too few groups.
    """
    rows = _rows(model, sources)
    is_fake = (rows.classes > 0).astype(int)
    if (
        recipe.ridge is None
        or len(rows.values) > rows.values.shape[1]
        or groups_of_each_class(is_fake, rows.groups) < FOLDS
    ):
        return []
    norm = model.get_layer(named_layers.FEATURES_NORM)
    values = norm(rows.values).numpy()
    found = least_squares.leave_groups_out(
        values, rows.classes, rows.weights, recipe.ridge, rows.groups
    )
    sizes = [len(source.features.labels) for source in sources]
    flips = len(found) // sum(sizes)
    logits = _as_logits(found).reshape(sum(sizes), flips, -1).mean(axis=1)
    if models.knows_families(model):
        logits = model.get_layer(named_layers.LOGIT)(logits).numpy()
    return np.split(logits[:, 0], np.cumsum(sizes)[:-1])


def _rows(model: keras.Model, sources: Sequence[KnownSource]) -> _Rows:
    """The features of images and their flips, with classes and groups.

    As in training, an image and its flip are two examples, so that the
    regression has more rows. Later it is applied to their mean.
    """
    found = [source.features for source in sources]
    families = [source.family for source in sources]
    _, flips, width = found[0].values.shape
    values = [each.values.reshape(-1, width) for each in found]
    labels = [np.repeat(each.labels, flips) for each in found]
    # Also what was made of an image, as a self-blend is, is of its group.
    groups = [np.repeat(each.groups, flips) for each in found]
    together = np.concatenate(labels)
    weights = None
    if len(set(families)) > 1:
        sizes = list(map(len, labels))
        weights = balanced(together, np.repeat(np.arange(len(sizes)), sizes))
        weights *= np.repeat([source.weight for source in sources], sizes)
        # Fakes and reals weigh the same, too.
        of_label = np.bincount(together, weights)
        weights *= len(together) / 2 / of_label[together]
    return _Rows(
        np.concatenate(values, dtype="float32"),
        np.concatenate(_classes(model, families, labels)),
        weights,
        np.concatenate(groups),
        sum(len(each.labels) for each in found),
    )


def within_memory(
    model: keras.Model, training: Sequence[Source]
) -> list[FaceSplit]:
    """The images of each source whose features fit into `MEMORY_LIMIT`.

    Args:
        model: a detector.
        training: the sources.
    """
    bytes_an_image = 4 * math.prod(pooled_flips(model).output_shape[1:])
    total = sum(source.split.size for source in training)
    share = min(1.0, MEMORY_LIMIT / bytes_an_image / total)
    return [
        # A real image and a fake one at least.
        source.split.first(max(2, int(share * source.split.size)))
        for source in training
    ]


def _classes(
    model: keras.Model, families: Sequence[str], labels: list[np.ndarray]
) -> list[np.ndarray]:
    """The labels, or the number of each fake's family in place of 1."""
    if not models.knows_families(model):
        return labels
    known = model.get_layer(named_layers.LOGIT).families
    numbers = [1 + known.index(f) if f in known else 0 for f in families]
    return [n * of_one for n, of_one in zip(numbers, labels, strict=True)]


def _regression(
    rows: _Rows, penalties: Sequence[float]
) -> tuple[LogisticRegression, float]:
    """A regression with the best penalty in cross-validation."""
    values, classes, weights, groups, _ = rows
    is_fake = (classes > 0).astype(int)
    if groups_of_each_class(is_fake, groups) < FOLDS:
        # Too few groups for that: the strongest penalty.
        regression = LogisticRegression(C=penalties[0], max_iter=1000)
        return regression.fit(values, classes, weights), penalties[0]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    regression = LogisticRegressionCV(
        Cs=penalties,
        cv=list(folds.split(values, classes, groups)),
        scoring="neg_log_loss",
        l1_ratios=(0,),
        use_legacy_attributes=False,
        max_iter=1000,
    ).fit(values, classes, weights)
    return regression, regression.C_


def _as_logits(values: np.ndarray) -> np.ndarray:
    """Least squares `[..., K]` as logits; of two classes `[..., 1]`."""
    logits = SHARPNESS * values
    return np.diff(logits) if logits.shape[-1] == 2 else logits
