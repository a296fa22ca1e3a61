"""How good a model is on the validation split, after each epoch."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import log_loss, roc_auc_score

from dfk.data import FaceSplit
from dfk.data.faces import decoded
from dfk.models import logit_head, logit_model
from dfk.models.features import backbone_features, require_numbers


class Validation:
    """Measures a model on the validation split, as often as it is called.

    Args:
        model: a detector.
        splits: the validation split of each data set.
        scratch: a folder for images that do not fit into memory.
        blends: self-blends of its real images, if the model is trained on
            self-blends as well.
        is_frozen: whether the backbone never changes, so that its cached
            features stand for the images.

    Example:
        >>> Validation(detector, [split], Path("/tmp/mine"))()["val_auc"]
        0.97
    """

    def __init__(
        self,
        model: keras.Model,
        splits: Sequence[FaceSplit],
        scratch: Path,
        blends: FaceSplit | None = None,
        is_frozen: bool = False,
    ):
        self._model = model
        self._is_frozen = is_frozen
        self._examples = [
            self._pairs(split, scratch / f"validation-{number}")
            for number, split in enumerate(splits)
        ]
        self._blends = blends and self._pairs(blends, scratch / "blends")
        logits = logit_head(model) if is_frozen else logit_model(model)
        self._logits = tf.function(logits, reduce_retracing=True)

    def _pairs(self, split: FaceSplit, scratch: Path) -> tf.data.Dataset:
        """What the logits are computed from, and the labels."""
        if self._is_frozen:
            found = backbone_features(self._model, split)
            pairs = found.mean, found.labels
            return tf.data.Dataset.from_tensor_slices(pairs)
        scratch.mkdir(exist_ok=True)
        return decoded(split, scratch)

    def logits_and_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """The raw logits, float32 `[N]`, and the labels, int64 `[N]`.

        One data set comes after the other.

        Raises:
            UserError: logits that are not numbers.
        """
        return self._compute(*self._examples)

    def _compute(
        self, *examples: tf.data.Dataset
    ) -> tuple[np.ndarray, np.ndarray]:
        logits, labels = [], []
        for values, truth in itertools.chain(*(e.batch(64) for e in examples)):
            values = tf.cast(values, tf.float32)
            logits.append(self._logits(values, training=False).numpy()[:, 0])
            labels.append(truth.numpy())
        together = np.concatenate(logits)
        require_numbers(together)
        return together, np.concatenate(labels)

    def __call__(self) -> dict[str, float]:
        """The model's present metrics, of `measure` and `on_blends`."""
        return measure(*self.logits_and_labels()) | self.on_blends()

    def on_blends(self) -> dict[str, float]:
        """`val_blend_auc`, the ROC AUC on self-blends, if there are any."""
        if self._blends is None:
            return {}
        logits, labels = self._compute(self._blends)
        return {"val_blend_auc": float(roc_auc_score(labels, logits))}


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`val_auc`, `val_accuracy` and `val_loss`, before calibration.

    Args:
        logits: float `[N]`, the raw logits of fake.
        labels: int `[N]`, 0 for real and 1 for fake.
    """
    return {
        "val_auc": float(roc_auc_score(labels, logits)),
        "val_accuracy": float(np.mean((logits > 0) == labels)),
        "val_loss": float(log_loss(labels, tf.sigmoid(logits).numpy())),
    }


def quality(metrics: dict[str, float]) -> float:
    """The number that decides which of two models is better.

    Args:
        metrics: what a `Validation` gave.

    Returns:
        `val_auc`; with self-blends, the mean of `val_auc` and
        `val_blend_auc`, so that both kinds of fakes count.
    """
    names = ("val_auc", "val_blend_auc")
    return float(np.mean([metrics[name] for name in names if name in metrics]))
