"""A detector's scores of a split, image by image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from dfk.data import FaceSplit
from dfk.errors import UserError
from dfk.progress import track

BATCH_SIZE = 64


@dataclass(frozen=True)
class Scores:
    """What a detector said about each image of a split.

    Args:
        ids: str `[N]`, the images' names.
        groups: str `[N]`, images of one group are not independent.
        labels: int64 `[N]`, 0 for real and 1 for fake.
        probabilities: float32 `[N]` in 0..1, the probabilities of fake.
    """

    ids: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def score_split(
    detector: keras.Model, split: FaceSplit, batch_size: int = BATCH_SIZE
) -> Scores:
    """Scores every image of a split, with a progress bar.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.
        split: images of the detector's own size.
        batch_size: how many images are scored at a time.

    Returns:
        The scores, in the order of the split.

    Raises:
        UserError: images of another size than the detector's, none at all, or
            scores that are not numbers.

    Example:
        >>> score_split(detector, load(data_dir="faces")["test"]).labels
        array([0, 1, 1, 0])
    """
    _check_size(detector, split)
    score = _compile(detector)
    columns: dict[str, list[np.ndarray]] = {
        name: [] for name in ("id", "group", "label", "probability")
    }
    for batch in _batches(split, batch_size):
        columns["probability"].append(score(batch.pop("image")).numpy())
        for name, values in batch.items():
            columns[name].append(values.numpy())
    if not columns["label"]:
        raise UserError(f"The {split.name} split holds no images to score.")
    together = {name: np.concatenate(parts) for name, parts in columns.items()}
    if not np.isfinite(together["probability"]).all():
        raise UserError(
            "The detector's scores are not numbers, which means that its "
            "training diverged: train it again with a lower learning rate."
        )
    return Scores(
        ids=np.char.decode(together["id"].astype(bytes)),
        groups=np.char.decode(together["group"].astype(bytes)),
        labels=together["label"],
        probabilities=together["probability"],
    )


def _check_size(detector: keras.Model, split: FaceSplit) -> None:
    takes = detector.input_shape[1]
    has = split.examples.element_spec["image"].shape[1]
    if has != takes:
        raise UserError(
            f"The detector takes images of {takes} pixels: load the data with "
            f"image_size={takes}. Received: images of {has} pixels."
        )


def _compile(detector: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """One graph for batches of any length, without XLA.

    Keras would compile `predict` with XLA, which takes minutes on a CPU.
    """

    @tf.function
    def score(images: tf.Tensor) -> tf.Tensor:
        return detector(tf.cast(images, tf.float32), training=False)[:, 0]

    images = tf.TensorSpec([None, *detector.input_shape[1:]], tf.uint8)
    return score.get_concrete_function(images)


def _batches(
    split: FaceSplit, batch_size: int
) -> Iterator[dict[str, tf.Tensor]]:
    batches = split.examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    steps = -(-split.size // batch_size)
    yield from track(batches, f"scoring {split.name}", steps)
