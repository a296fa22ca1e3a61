"""Phase one: the head on the frozen backbone, solved exactly.

On frozen features the last layer is a logistic regression: a convex problem
whose solution scikit-learn finds in seconds, with no learning rate to choose.
The backbone sees every training picture and its mirror image once.
"""

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from dfk.data import FaceSplit
from dfk.models import embedder
from dfk.progress import track
from dfk.training import strategies

# Inverse strengths of the L2 penalty, of which validation chooses one.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def fit_head(
    model: keras.Model,
    training: FaceSplit,
    validation: FaceSplit,
    strategy: tf.distribute.Strategy,
    batch_size: int = 32,
) -> dict[str, float]:
    """Sets `features_norm` and `logit` from the backbone's features.

    Args:
        model: a detector whose backbone has useful weights.
        training: pictures to fit the regression on.
        validation: pictures to choose the penalty on, by AUC.
        strategy: workers agree on the result.
        batch_size: pictures the backbone sees at a time.

    Returns:
        The chosen `penalty` and the number of `features`.
    """
    features, labels = _features(model, training, batch_size, mirrored=True)
    held_out, truth = _features(model, validation, batch_size)
    mean = features.mean(axis=0)
    variance = _floored(features.var(axis=0))
    best, best_auc = None, -1.0
    for penalty in PENALTIES:
        regression = LogisticRegression(C=penalty, max_iter=1000)
        regression.fit(_standardize(features, mean, variance), labels)
        scores = regression.decision_function(
            _standardize(held_out, mean, variance)
        )
        auc = roc_auc_score(truth, scores)
        if auc > best_auc:
            best, best_auc = regression, auc
    for layer, weights in (
        ("features_norm", [mean, variance]),
        ("logit", [best.coef_.T, best.intercept_]),
    ):
        model.get_layer(layer).set_weights(
            [strategies.agree(strategy, weight) for weight in weights]
        )
    return {"penalty": best.C, "features": features.shape[1]}


def _features(
    model: keras.Model,
    split: FaceSplit,
    batch_size: int,
    mirrored: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    backbone = tf.function(embedder(model), reduce_retracing=True)
    views = [lambda images: images]
    if mirrored:
        views.append(lambda images: images[:, :, ::-1])
    features, labels = [], []
    batches = split.examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    steps = -(-split.size // batch_size)
    for batch in track(batches, f"features of {split.name}", steps):
        images = tf.cast(batch["image"], tf.float32)
        for view in views:
            features.append(backbone(view(images), training=False).numpy())
            labels.append(batch["label"].numpy())
    return np.concatenate(features), np.concatenate(labels)


def _floored(variance: np.ndarray) -> np.ndarray:
    """Keeps channels that are all but dead in training from exploding later."""
    return np.maximum(variance, 1e-2 * np.median(variance) + 1e-12)


def _standardize(features, mean, variance):
    return (features - mean) / np.sqrt(variance)
