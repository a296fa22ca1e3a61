"""Phase one: the head on a frozen backbone, solved exactly.

On frozen features the last layer is a logistic regression. That is a convex
problem, which scikit-learn solves in seconds, with no learning rate to choose.
The backbone computes the features of every training image and its mirror image
once; they are cached until weights, image size or data change.

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
from dfk.models.features import compute, features, floored
from dfk.training import strategies

FOLDS = 3
# How many bytes of features a head is fitted on: 22,795 images with the widest,
# facenet's. scikit-learn needs more than three times as much beside them.
MEMORY_LIMIT = 2 << 30


class Source(NamedTuple):
    """Images to fit a head on.

    Args:
        family: the name of their fakes.
        split: the images.
    """

    family: str
    split: FaceSplit


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
    penalties: Sequence[float],
    keep_features: bool = True,
) -> dict[str, float]:
    """Sets the layers `features_norm` and `logit` from the backbone's features.

    Of a detector that knows several families of fakes, each family is a class
    of the regression. Real and fake then weigh the same, and so do all sources
    within each; otherwise the largest would decide.

    Args:
        model: a detector whose backbone has useful weights.
        training: images to fit the regression on. Where their features would
            take more than `MEMORY_LIMIT`, the first images of each source.
        strategy: its workers end with equal weights.
        penalties: inverse strengths of the L2 penalty. Cross-validation that
            keeps groups of images together chooses one.
        keep_features: whether the features are read from the cache and kept
            there; those of a backbone that was just trained are used once.

    Returns:
        The chosen `penalty`, and the numbers of `features` and of `images`.
    """
    rows = _rows(model, training, keep_features)
    mean = rows.values.mean(axis=0)
    variance = floored(rows.values.var(axis=0))
    # In place, since many images have gigabytes of features.
    values = rows.values
    values -= mean
    values /= np.sqrt(variance)
    regression, penalty = _regression(rows, penalties)
    last = named_layers.LOGIT
    if models.knows_families(model):
        last = named_layers.CLASSES
    for layer, weights in (
        (named_layers.FEATURES_NORM, [mean, variance]),
        (last, [regression.coef_.T, regression.intercept_]),
    ):
        model.get_layer(layer).set_weights(
            [strategies.agree(strategy, weight) for weight in weights]
        )
    return {
        "penalty": penalty,
        "features": rows.values.shape[1],
        "images": rows.images,
    }


def _rows(model: keras.Model, training: Sequence[Source], keep: bool) -> _Rows:
    """The features of images and their flips, with classes and groups.

    As in training, an image and its flip are two examples, so that the
    regression has more rows. Later it is applied to their mean.
    """
    get, extractor = features if keep else compute, pooled_flips(model)
    bytes_an_image = 4 * math.prod(extractor.output_shape[1:])
    total = sum(split.size for _, split in training)
    share = min(1.0, MEMORY_LIMIT / bytes_an_image / total)
    splits = [
        # A real image and a fake one at least.
        split.first(max(2, int(share * split.size)))
        for _, split in training
    ]
    found = [get(extractor, split) for split in splits]
    flips = found[0].values.shape[1]
    values = [each.values.reshape(-1, each.values.shape[2]) for each in found]
    labels = [np.repeat(each.labels, flips) for each in found]
    # Two sources may have groups of one name.
    groups = [
        np.repeat([f"{number}/{group}" for group in each.groups], flips)
        for number, each in enumerate(found)
    ]
    families = [source.family for source in training]
    together = np.concatenate(labels)
    weights = None
    if len(set(families)) > 1:
        sizes = list(map(len, labels))
        weights = balanced(together, np.repeat(np.arange(len(sizes)), sizes))
        # Fakes and reals weigh the same, too.
        weights /= 2 * np.bincount(together)[together] / len(together)
    return _Rows(
        values[0] if len(values) == 1 else np.concatenate(values),
        np.concatenate(_classes(model, families, labels)),
        weights,
        np.concatenate(groups),
        sum(split.size for split in splits),
    )


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
