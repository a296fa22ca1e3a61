"""The training images of an epoch, shuffled, augmented and batched."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from dfk.data import FaceSplit
from dfk.data.faces import decoded, fits
from dfk.images.augment import Augmentation, augment
from dfk.training.self_blends import SelfBlends

# Larger data sets are shuffled within a window of so many images.
SHUFFLE_WINDOW = 8192


class TrainingBatches:
    """Batches of the training split, shuffled and augmented for each epoch.

    An epoch depends only on the seed and its number. So a run that was killed
    goes on with exactly the images that it would have seen, and the number of
    threads makes no difference.

    Args:
        split: the training split.
        batch_size: images a step, over all replicas.
        seed: of the order and of the augmentation.
        scratch: a folder of this process, for images that do not fit into
            memory.
        blends: makes further fakes of the split's real images.
        augmentation: how much images are changed.

    Example:
        >>> batches = TrainingBatches(faces["train"], 32, 0, Path(scratch))
        >>> for images, labels in batches.epoch(0, InputContext()): ...
    """

    def __init__(
        self,
        split: FaceSplit,
        batch_size: int,
        seed: int,
        scratch: Path,
        blends: SelfBlends | None = None,
        augmentation: Augmentation = Augmentation(),
    ):
        size = split.size + (blends.size if blends else 0)
        self.steps = max(1, size // batch_size)
        self._batch_size = min(batch_size, size)
        self._seed = seed
        self._blends = blends
        self._augmentation = augmentation
        self._examples = decoded(split, scratch)
        # One more than there are, so that the cache reads to the end.
        self._window = size + 1 if fits(split) else SHUFFLE_WINDOW

    def epoch(
        self, number: int, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """The batches of one epoch, or one worker's share of them.

        Args:
            number: the epoch's number, from 0.
            context: the worker's place among the others.

        Returns:
            `(images, labels)`: float32 `[B, S, S, 3]` in 0..255 and float32
            `[B, 1]`, where B is the batch size over the number of replicas.
        """
        order, changes, blending = np.random.SeedSequence(
            [self._seed, number]
        ).generate_state(3)
        examples = self._examples
        if self._blends:
            examples = _mixed(examples, self._blends.split(int(blending)))

        def prepare(index, example):
            image, label = example
            chance = tf.stack([int(changes), index])
            changed = augment(image, chance, self._augmentation)
            return changed, tf.cast(label[None], tf.float32)

        return (
            examples.shuffle(
                self._window, seed=int(order), reshuffle_each_iteration=False
            )
            .take(self.steps * self._batch_size)
            .enumerate()
            .shard(context.num_input_pipelines, context.input_pipeline_id)
            .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(
                self._batch_size // context.num_replicas_in_sync,
                drop_remainder=True,
            )
            .prefetch(tf.data.AUTOTUNE)
        )


def _mixed(examples: tf.data.Dataset, further: FaceSplit) -> tf.data.Dataset:
    """Both data sets, evenly mixed.

    Shuffling would not do that where its window is smaller than the data.
    """
    sizes = np.array([int(examples.cardinality()), further.size])
    return tf.data.Dataset.sample_from_datasets(
        [examples, further.examples.map(lambda e: (e["image"], e["label"]))],
        weights=sizes / sizes.sum(),
        seed=0,
    )
