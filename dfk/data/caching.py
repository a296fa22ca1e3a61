"""The decoded images of a run, kept in memory or on disk."""

from pathlib import Path

import tensorflow as tf

from dfk.data.faces import FaceSplit

# Decoded images are kept in memory up to this size, in bytes.
MEMORY_LIMIT = 4 << 30


def fits(split: FaceSplit) -> bool:
    """Whether a split's decoded images may be kept in memory."""
    shape = split.examples.element_spec["image"].shape
    return split.size * shape.num_elements() <= MEMORY_LIMIT


def decoded(split: FaceSplit, scratch: Path) -> tf.data.Dataset:
    """A split's images and labels, decoded in the first epoch only.

    Args:
        split: is kept in memory if it fits there.
        scratch: the folder that keeps it otherwise. No other process should
            use it: a cache that one left half written would be an error.

    Returns:
        `(image, label)`, uint8 `[S, S, 3]` and int64, in the split's order.
        The first pass must run to its end.

    Example:
        >>> pairs = decoded(faces.splits["train"], Path("/tmp/scratch"))
    """
    pairs = split.examples.map(lambda e: (e["image"], e["label"]))
    return pairs.cache("" if fits(split) else str(scratch / split.name))
