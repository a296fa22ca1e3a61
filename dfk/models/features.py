"""A split's features, computed once and then read from disk."""

import hashlib
import json
from dataclasses import asdict, dataclass

import keras
import numpy as np
import tensorflow as tf

from dfk.cache import cached_arrays
from dfk.data import FaceSplit
from dfk.errors import UserError
from dfk.models.head import pooled_flips
from dfk.progress import track

# What a large network makes of more images does not fit into a CPU's caches.
_BATCH_SIZE = 8

_IRRELEVANT = {
    *("name", "trainable"),
    *("input_layers", "output_layers", "keras_history"),
}


@dataclass(frozen=True)
class Features:
    """The outputs of a network for each image of a split.

    Args:
        values: `[N, ...]`, the network's outputs; float32 where nothing else
            is said.
        labels: int64 `[N]`, 0 for real and 1 for fake.
        ids: str `[N]`, the images' names.
        groups: str `[N]`; images of one group are not independent.
    """

    values: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    groups: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Of `backbone_features`: what the head sees, float32 `[N, D]`."""
        return self.values.mean(axis=1, dtype="float32")

    def reals(self) -> "Features":
        """Those of the real images alone."""
        kept = self.labels == 0
        return Features(
            **{name: rows[kept] for name, rows in vars(self).items()}
        )


def features(
    extractor: keras.Model, split: FaceSplit, dtype: str = "float32"
) -> Features:
    """Runs a network over a split, or reads its earlier outputs from disk.

    Outputs are cached under a digest of all that they depend on: the network
    with its weights and image size, and the version of the data.

    Args:
        extractor: from pixels `[N, S, S, 3]` in 0..255 to `[N, ...]`.
        split: images of that size.
        dtype: of the values.

    Returns:
        The features, in the order of the split.

    Raises:
        UserError: outputs that are not numbers; and inside
            `dfk.data.unreadable_files`, a broken image.

    Example:
        >>> features(dfk.models.embedder(detector), faces.splits["train"])
    """
    stored = cached_arrays(
        "features",
        _key(extractor, split, dtype),
        lambda: asdict(compute(extractor, split, dtype)),
    )
    return Features(**stored)


def backbone_features(
    detector: keras.Model, split: FaceSplit, keep: bool = True
) -> Features:
    """The features of each image of a split, and of its mirror image.

    A head needs no more digits than float16 has, and the features of thousands
    of images then take half of the disk.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.
        split: images of its size.
        keep: whether they are read from the cache and kept there; those of a
            backbone that was just trained are used once.

    Returns:
        The features, float16 `[N, F, D]`, with F as in `pooled_flips`.

    Raises:
        UserError: as `features`.

    Example:
        >>> backbone_features(detector, faces.splits["train"]).values.shape
        (1400, 2, 1280)
    """
    get = features if keep else compute
    return get(pooled_flips(detector), split, "float16")


def _key(extractor: keras.Model, split: FaceSplit, dtype: str) -> str:
    digest = hashlib.sha256(f"{split.version} {dtype}".encode())
    structure = keras.saving.serialize_keras_object(extractor)
    digest.update(json.dumps(_computation(structure)).encode())
    for weight in extractor.weights:
        digest.update(np.ascontiguousarray(weight.numpy()))
    return digest.hexdigest()


def _computation(config):
    """A network's configuration without what does not change its outputs.

    Names depend on what was built before. How weights were initialised, and
    whether they are trained, does not matter to the weights there are now.
    """
    if isinstance(config, dict):
        return {
            key: _computation(value)
            for key, value in sorted(config.items())
            if key not in _IRRELEVANT and not key.endswith("_initializer")
        }
    if isinstance(config, (list, tuple)):
        return [_computation(value) for value in config]
    return config


def compute(
    extractor: keras.Model, split: FaceSplit, dtype: str = "float32"
) -> Features:
    """Runs a network over a split as `features` does, but caches nothing."""
    network = tf.function(extractor, reduce_retracing=True)
    shape = extractor.output_shape[1:]
    # Filled batch by batch: many images have gigabytes of features.
    values = np.empty((split.size, *shape), dtype)
    largest = np.finfo(dtype).max
    columns = {"label": [], "id": [], "group": []}
    batches = split.examples.batch(_BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    steps = -(-split.size // _BATCH_SIZE)
    count = 0
    for batch in track(batches, f"features of {split.name}", steps):
        images = tf.cast(batch.pop("image"), tf.float32)
        found = network(images, training=False).numpy()
        values[count : count + len(found)] = found.clip(-largest, largest)
        count += len(found)
        for name, column in columns.items():
            column.append(batch[name].numpy())
    together = {name: np.concatenate(rows) for name, rows in columns.items()}
    require_numbers(values[:count])
    return Features(
        # Fewer than the split has, where broken files are skipped.
        values=values[:count],
        labels=together["label"],
        ids=np.char.decode(together["id"].astype(bytes)),
        groups=np.char.decode(together["group"].astype(bytes)),
    )


def require_numbers(outputs: np.ndarray) -> None:
    """Refuses NaN and infinity, which is what a diverged training ends with.

    Args:
        outputs: of a network.

    Raises:
        UserError: one of them is not a number.
    """
    if not np.isfinite(outputs).all():
        raise UserError(
            "The detector's scores are not numbers, which means that its "
            "training diverged: train it again with a lower learning rate."
        )


def floored(variance: np.ndarray) -> np.ndarray:
    """Keeps the variances of features from 0, for standardising by them.

    A channel that hardly varies in training may vary later. Without a floor it
    would then outweigh all others.

    Args:
        variance: float `[D]`.

    Returns:
        float `[D]`, none less than a hundredth of the median.
    """
    return np.maximum(variance, 1e-2 * np.median(variance) + 1e-12)
