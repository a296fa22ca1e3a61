"""A detector's scores of a split, image by image."""

import collections
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from dfk import models
from dfk.data import FaceSplit
from dfk.errors import UserError
from dfk.prediction.outputs import Outputs, forward_pass
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
        ood_score: float32 `[N]`; above 1 is unlike the training images.
    """

    ids: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    ood_score: np.ndarray

    def words(self, calibration: models.Calibration) -> dict[str, np.ndarray]:
        """The verdicts and their reasons.

        Args:
            calibration: the detector's.

        Returns:
            `verdict` and `reason`, str `[N]`.
        """
        limits = [calibration.real_up_to, calibration.fake_down_to]
        words = models.verdicts(
            tf.constant(self.probabilities),
            tf.constant(self.ood_score),
            tf.constant(limits),
        )
        return {
            name: np.char.decode(values.numpy().astype(bytes))
            for name, values in words.items()
        }


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
    network = compiled(detector)
    columns: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    for batch in _batches(split, batch_size):
        outputs = network(batch.pop("image"))
        batch["probability"] = outputs.probability
        batch["ood_score"] = outputs.ood_score
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
        ood_score=together["ood_score"],
    )


def _check_size(detector: keras.Model, split: FaceSplit) -> None:
    takes = detector.input_shape[1]
    has = split.examples.element_spec["image"].shape[1]
    if has != takes:
        raise UserError(
            f"The detector takes images of {takes} pixels: load the data with "
            f"image_size={takes}. Received: images of {has} pixels."
        )


def compiled(
    detector: keras.Model,
) -> Callable[[tf.Tensor], Outputs]:
    """One graph for batches of any length, without XLA.

    Keras would compile `predict` with XLA, which takes minutes on a CPU.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A function of images, uint8 `[N, S, S, 3]`.
    """
    network = forward_pass(detector)

    @tf.function
    def run(images: tf.Tensor) -> Outputs:
        return network(tf.cast(images, tf.float32))

    images = tf.TensorSpec([None, *detector.input_shape[1:]], tf.uint8)
    return run.get_concrete_function(images)


def _batches(
    split: FaceSplit, batch_size: int
) -> Iterator[dict[str, tf.Tensor]]:
    batches = split.examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    steps = -(-split.size // batch_size)
    yield from track(batches, f"scoring {split.name}", steps)
