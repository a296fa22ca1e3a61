"""The training pictures of an epoch, shuffled, augmented and batched."""

import numpy as np
import tensorflow as tf

from dfk.data import FaceSplit
from dfk.images.augment import augmenter

# Decoded pictures are kept in memory up to this size, in bytes.
CACHE_LIMIT = 4 << 30
# Larger data sets are shuffled within a window of so many pictures.
SHUFFLE_WINDOW = 8192


def fits(split: FaceSplit) -> bool:
    """Whether a split's decoded pictures may be kept in memory."""
    shape = split.examples.element_spec["image"].shape
    return split.size * shape.num_elements() <= CACHE_LIMIT


def in_memory(split: FaceSplit) -> tf.data.Dataset:
    """A split's `(image, label)` pairs, decoded once if they fit in memory."""
    pairs = split.examples.map(lambda e: (e["image"], e["label"]))
    return pairs.cache() if fits(split) else pairs


class TrainingBatches:
    """Deals out the training split, anew for each epoch.

    What an epoch holds depends on nothing but the seed and the epoch's
    number, so that a run that was killed goes on with the very pictures it
    would have seen.

    Args:
        split: the training split.
        batch_size: images a step, over all replicas.
        seed: of the order and of the augmentation.

    Example:
        >>> batches = TrainingBatches(faces["train"], 32, seed=0)
        >>> for images, labels in batches.epoch(0, InputContext()): ...
    """

    def __init__(self, split: FaceSplit, batch_size: int, seed: int):
        self.steps = max(1, split.size // batch_size)
        self._batch_size = min(batch_size, split.size)
        self._seed = seed
        self._examples = in_memory(split)
        # One more than there is, so that the cache sees its input's end.
        self._window = split.size + 1 if fits(split) else SHUFFLE_WINDOW

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
        worker = context.input_pipeline_id
        order, changes = np.random.SeedSequence(
            [self._seed, number]
        ).generate_state(2)
        replicas = context.num_replicas_in_sync
        change = augmenter(int(changes) + worker)
        return (
            self._examples.shuffle(
                self._window, seed=int(order), reshuffle_each_iteration=False
            )
            .take(self.steps * self._batch_size)
            .shard(context.num_input_pipelines, worker)
            .batch(self._batch_size // replicas, drop_remainder=True)
            .map(
                lambda images, labels: (
                    change(images),
                    tf.cast(labels[:, None], tf.float32),
                )
            )
            .prefetch(tf.data.AUTOTUNE)
        )
