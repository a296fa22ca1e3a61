"""What a data set of faces is, once it is loaded."""

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

import dfk


@dataclasses.dataclass(frozen=True)
class FaceSplit:
    """One split of a data set.

    Args:
        name: `train`, `validation` or `test`.
        size: the number of images.
        examples: dictionaries with `image` (uint8 `[S, S, 3]`), `label`
            (int64, 0 is real and 1 is fake), `id` and `group` (strings), by
            turns real and fake and always in the same order.
        version: changes when what `examples` gives changes: a digest of the
            files' names, sizes and times, the image size and the limit.
    """

    name: str
    size: int
    examples: tf.data.Dataset
    version: str

    def __post_init__(self):
        # What is built on the examples inherits their options.
        untuned = self.examples.with_options(_without_autotuning())
        object.__setattr__(self, "examples", untuned)


@dataclasses.dataclass(frozen=True)
class FaceData:
    """A data set of real and fake faces.

    Args:
        name: its TFDS name, or its folder.
        image_size: the side of its images, in pixels.
        splits: its splits by name.
    """

    name: str
    image_size: int
    splits: dict[str, FaceSplit]


def _without_autotuning() -> tf.data.Options:
    """Options against waiting up to a minute at the end of a pass.

    The thread that tunes a pipeline can miss that its iterator ends, and then
    sleeps on while the iterator waits for it, often on one CPU (TensorFlow
    2.21: `Model::OptimizeLoop` is woken before `IsCancelled` tells it why).
    Without it, parallel steps use a thread for each CPU.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def version(files: Iterable[Path], *settings: str | int) -> str:
    """A digest of what a split's examples come from.

    Times stand for contents, as in make: reading them is quick.

    Args:
        files: where the images lie.
        settings: what else decides what the examples are.

    Returns:
        64 hexadecimal digits.
    """
    parts = ([_state(file) for file in files], settings, dfk.__version__)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _state(file: Path) -> tuple[str | int, ...]:
    # A link may lead nowhere; that is for whoever reads it to complain about.
    if not file.exists():
        return (file.name,)
    state = file.stat()
    return file.name, state.st_size, state.st_mtime_ns
