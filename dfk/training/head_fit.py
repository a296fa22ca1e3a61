"""Phase one: the head on the frozen backbone, solved exactly.

On frozen features the last layer is a logistic regression: a convex problem
whose solution scikit-learn finds in seconds, with no learning rate to choose.
The backbone sees every training picture and its mirror image once.
"""

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold

from dfk.data import FaceSplit
from dfk.models import embedder
from dfk.progress import track
from dfk.training import strategies

# Inverse strengths of the L2 penalty, of which cross-validation chooses one.
PENALTIES = (1e-3, 1e-2, 1e-1)


def fit_head(
    model: keras.Model,
    training: FaceSplit,
    strategy: tf.distribute.Strategy,
    batch_size: int = 32,
) -> dict[str, float]:
    """Sets `features_norm` and `logit` from the backbone's features.

    Args:
        model: a detector whose backbone has useful weights.
        training: pictures to fit the regression on. Its penalty is chosen by
            cross-validation over their groups.
        strategy: workers agree on the result.
        batch_size: pictures the backbone sees at a time.

    Returns:
        The chosen `penalty` and the number of `features`.
    """
    features, labels, groups = _features(model, training, batch_size)
    mean = features.mean(axis=0)
    # Channels that are all but dead in training must not explode later.
    variance = features.var(axis=0)
    variance = np.maximum(variance, 1e-2 * np.median(variance) + 1e-12)
    standardized = (features - mean) / np.sqrt(variance)
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    regression = LogisticRegressionCV(
        Cs=PENALTIES,
        cv=list(folds.split(standardized, labels, groups)),
        scoring="neg_log_loss",
        l1_ratios=(0,),
        use_legacy_attributes=False,
        max_iter=1000,
    ).fit(standardized, labels)
    for layer, weights in (
        ("features_norm", [mean, variance]),
        ("logit", [regression.coef_.T, regression.intercept_]),
    ):
        model.get_layer(layer).set_weights(
            [strategies.agree(strategy, weight) for weight in weights]
        )
    return {"penalty": regression.C_, "features": features.shape[1]}


def _features(
    model: keras.Model, split: FaceSplit, batch_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of every picture and of its mirror image, labels, groups."""
    backbone = tf.function(embedder(model), reduce_retracing=True)
    features, labels, groups = [], [], []
    batches = split.examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    steps = -(-split.size // batch_size)
    for batch in track(batches, f"features of {split.name}", steps):
        images = tf.cast(batch["image"], tf.float32)
        for view in (images, images[:, :, ::-1]):
            # As in training: one view at a time, so that the regression sees
            # twice as many rows. Their mean is what it is applied to later.
            features.append(backbone(view, training=True).numpy())
            labels.append(batch["label"].numpy())
            groups.append(batch["group"].numpy())
    return tuple(map(np.concatenate, (features, labels, groups)))
