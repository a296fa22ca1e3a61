"""Training images a second time, changed, for a head on frozen features.

Fine-tuning changes its images anew in every epoch. A head that is fitted once
would see each only as its data set prepared it, and take that for usual.
"""

from collections.abc import Sequence

import tensorflow as tf

from dfk.data import FaceData, FaceSplit
from dfk.data.faces import digest
from dfk.images.augment import VERSION, Augmentation, augment
from dfk.training.head_fit import Source

# Of the names of their splits.
SUFFIX = "-augmented"


def augmented_sources(
    parts: Sequence[FaceData], share: float, strength: Augmentation, seed: int
) -> list[Source]:
    """Changed copies of the first training images of each data set.

    Args:
        parts: the data sets, with their training splits.
        share: of how many of their images, 0..1.
        strength: how much they are changed.
        seed: of the changes.

    Returns:
        A source for each. A copy weighs as much as its original.

    Example:
        >>> more = augmented_sources(parts, 0.3, recipe.augmentation, seed=0)
        >>> fit_head(model, sources + more, strategy, recipe)
    """
    return [
        Source(
            part.family,
            _augmented(part.splits["train"], share, strength, seed),
            share,
        )
        for part in parts
    ]


def _augmented(
    split: FaceSplit, share: float, strength: Augmentation, seed: int
) -> FaceSplit:
    # A real image and a fake one at least.
    split = split.first(max(2, round(share * split.size)))

    def change(number, example):
        pixels = augment(example["image"], [seed, number], strength)
        image = tf.saturate_cast(tf.round(pixels), tf.uint8)
        return example | {"image": image}

    return FaceSplit(
        split.name + SUFFIX,
        split.size,
        split.examples.enumerate().map(
            change, num_parallel_calls=tf.data.AUTOTUNE
        ),
        digest(split.version, strength, seed, VERSION),
        split.listing,
    )
