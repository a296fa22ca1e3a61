"""What is computed once: decoded pictures of a run, arrays of a data set."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from dfk.data.faces import FaceSplit
from dfk.fetch import cache_dir

# Decoded pictures are kept in memory up to this size, in bytes.
MEMORY_LIMIT = 4 << 30


def fits(split: FaceSplit) -> bool:
    """Whether a split's decoded pictures may be kept in memory."""
    shape = split.examples.element_spec["image"].shape
    return split.size * shape.num_elements() <= MEMORY_LIMIT


def decoded(split: FaceSplit, scratch: Path) -> tf.data.Dataset:
    """A split's pictures and labels, decoded in the first epoch only.

    Args:
        split: what to keep in memory, if it fits there.
        scratch: the folder where to keep it otherwise. It should be of this
            process alone: what another left half written would be in the way.

    Returns:
        `(image, label)`, uint8 `[S, S, 3]` and int64, in the split's order.
        The first pass must run to its end.

    Example:
        >>> pairs = decoded(faces.splits["train"], Path("/tmp/mine"))
    """
    pairs = split.examples.map(lambda e: (e["image"], e["label"]))
    return pairs.cache("" if fits(split) else str(scratch / split.name))


def arrays(
    kind: str, key: str, compute: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Computes arrays once, and reads them from disk ever after.

    Args:
        kind: what they are; the name of their folder in the cache.
        key: a digest of all that they depend on. When any of that changes so
            does the key, so that no file is ever stale.
        compute: gives the arrays by name where there is no such file yet.

    Returns:
        The arrays by name.

    Example:
        >>> arrays("faces", split.version, lambda: find(split))
    """
    path = cache_dir() / kind / f"{key}.npz"
    if not path.is_file():
        _write(path, compute())
    with np.load(path) as stored:
        return dict(stored)


def _write(path: Path, values: dict[str, np.ndarray]) -> None:
    """Writes beside the place, then renames: other processes may as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        partial = Path(scratch, path.name)
        np.savez(partial, **values)
        os.replace(partial, path)
