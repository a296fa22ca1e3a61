"""The head on a backbone that stands still, solved exactly: phase one.

On frozen features the last layer is a logistic regression: a convex problem
whose solution scikit-learn finds in seconds, with no learning rate to choose.
The backbone sees every training image and its mirror image once, and never
again while weights, image size and data stay the same.

A detector without pretrained weights has no features to begin with, so it ends
with this.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold

from dfk.data import FaceSplit
from dfk.models import pooled_flips
from dfk.models.features import features
from dfk.training import strategies

# Inverse strengths of the L2 penalty, of which cross-validation chooses one.
PENALTIES = (1e-3, 1e-2, 1e-1)
FOLDS = 3


def fit_head(
    model: keras.Model,
    training: Sequence[FaceSplit],
    strategy: tf.distribute.Strategy,
) -> dict[str, float]:
    """Sets `features_norm` and `logit` from the backbone's features.

    Args:
        model: a detector whose backbone has useful weights.
        training: splits to fit the regression on. Its penalty is chosen by
            cross-validation over the groups of their images.
        strategy: workers agree on the result.

    Returns:
        The chosen `penalty` and the number of `features`.
    """
    rows, labels, groups = _views(model, training)
    mean = rows.mean(axis=0)
    # Channels that are all but dead in training must not explode later.
    variance = rows.var(axis=0)
    variance = np.maximum(variance, 1e-2 * np.median(variance) + 1e-12)
    # In place: of many images, these are gigabytes.
    rows -= mean
    rows /= np.sqrt(variance)
    regression, penalty = _regression(rows, labels, groups)
    for layer, weights in (
        ("features_norm", [mean, variance]),
        ("logit", [regression.coef_.T, regression.intercept_]),
    ):
        model.get_layer(layer).set_weights(
            [strategies.agree(strategy, weight) for weight in weights]
        )
    return {"penalty": penalty, "features": rows.shape[1]}


def _views(
    model: keras.Model, training: Sequence[FaceSplit]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each view's features `[V, D]`, and its image's label and group.

    As in training: one view at a time, so that the regression sees twice as
    many rows. Their mean is what it is applied to later.
    """
    extractor = pooled_flips(model)
    parts = [features(extractor, split) for split in training]
    pooled = np.concatenate([part.values for part in parts])
    images, views, width = pooled.shape
    return (
        pooled.reshape(images * views, width),
        np.repeat(np.concatenate([part.labels for part in parts]), views),
        np.repeat(np.concatenate([part.groups for part in parts]), views),
    )


def _regression(
    rows: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> tuple[LogisticRegression, float]:
    """With the penalty that cross-validation likes best, and this penalty."""
    fewest = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if fewest < FOLDS:
        # Too few to try on: the most careful one.
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
