"""Phase one: the head on a frozen backbone, solved exactly.

On frozen features the last layer is a logistic regression. That is a convex
problem, which scikit-learn solves in seconds, with no learning rate to choose.
The backbone computes the features of every training image and its mirror image
once; they are cached until weights, image size or data change.

A detector without pretrained weights has no useful features at first. Its
training ends with this instead.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold

from dfk.data import FaceSplit
from dfk.data.groups import groups_of_each_class
from dfk.models import named_layers, pooled_flips
from dfk.models.features import compute, features, floored
from dfk.training import strategies

# Inverse strengths of the L2 penalty, of which cross-validation chooses one.
PENALTIES = (1e-3, 1e-2, 1e-1)
FOLDS = 3


def fit_head(
    model: keras.Model,
    training: Sequence[FaceSplit],
    strategy: tf.distribute.Strategy,
    keep_features: bool = True,
) -> dict[str, float]:
    """Sets the layers `features_norm` and `logit` from the backbone's features.

    Args:
        model: a detector whose backbone has useful weights.
        training: splits to fit the regression on. Its penalty is chosen by
            cross-validation that keeps groups of images together.
        strategy: its workers end with equal weights.
        keep_features: whether the features are read from the cache and kept
            there; those of a backbone that was just trained are used once.

    Returns:
        The chosen `penalty` and the number of `features`.
    """
    rows, labels, groups = _flipped_features(model, training, keep_features)
    mean = rows.mean(axis=0)
    variance = floored(rows.var(axis=0))
    # In place, since many images have gigabytes of features.
    rows -= mean
    rows /= np.sqrt(variance)
    regression, penalty = _regression(rows, labels, groups)
    for layer, weights in (
        (named_layers.FEATURES_NORM, [mean, variance]),
        (named_layers.LOGIT, [regression.coef_.T, regression.intercept_]),
    ):
        model.get_layer(layer).set_weights(
            [strategies.agree(strategy, weight) for weight in weights]
        )
    return {"penalty": penalty, "features": rows.shape[1]}


def _flipped_features(
    model: keras.Model, training: Sequence[FaceSplit], keep: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of images and their flips `[2N, D]`, with labels and groups.

    As in training, an image and its flip are two examples, so that the
    regression has twice as many rows. Later it is applied to their mean.
    """
    extractor = pooled_flips(model)
    get = features if keep else compute
    found = [get(extractor, split) for split in training]
    pooled = found[0].values
    if len(found) > 1:
        pooled = np.concatenate([each.values for each in found])
    images, flips, width = pooled.shape
    return (
        pooled.reshape(images * flips, width),
        np.repeat(np.concatenate([each.labels for each in found]), flips),
        np.repeat(np.concatenate([each.groups for each in found]), flips),
    )


def _regression(
    rows: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> tuple[LogisticRegression, float]:
    """A regression with the best penalty in cross-validation."""
    if groups_of_each_class(labels, groups) < FOLDS:
        # Too few groups for that: the strongest penalty.
        regression = LogisticRegression(C=PENALTIES[0], max_iter=1000)
        return regression.fit(rows, labels), PENALTIES[0]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    regression = LogisticRegressionCV(
        Cs=PENALTIES,
        cv=list(folds.split(rows, labels, groups)),
        scoring="neg_log_loss",
        l1_ratios=(0,),
        use_legacy_attributes=False,
        max_iter=1000,
    ).fit(rows, labels)
    return regression, regression.C_
