"""What a data set of faces is, once it is loaded, and how it is cached."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

import dfk
from dfk.images.decode import PIPELINE_VERSION

# Decoded images are kept in memory up to this size, in bytes.
MEMORY_LIMIT = 4 << 30


@dataclasses.dataclass(frozen=True)
class FaceSplit:
    """One split of a data set.

    Args:
        name: `train`, `validation` or `test`.
        size: the number of images.
        examples: dictionaries with `image` (uint8 `[S, S, 3]`), `label`
            (int64, 0 is real and 1 is fake), `id` and `group` (strings),
            alternating real and fake and always in the same order.
        version: a digest that changes when the examples change: of the files'
            names, sizes and times, the image size and the limit.
        listing: a digest that changes when images come, go or are replaced: of
            the files' names and sizes. A copy of the data has the same.
        chosen: gives the examples of some ids, in the same order, and decodes
            no others.
    """

    name: str
    size: int
    examples: tf.data.Dataset
    version: str
    listing: str
    chosen: Callable[[list[str]], tf.data.Dataset] | None = None

    def __post_init__(self):
        # Whatever pipeline is built on the examples inherits their options.
        untuned = self.examples.with_options(without_autotuning())
        object.__setattr__(self, "examples", untuned)

    def first(self, count: int) -> "FaceSplit":
        """The split of its first images only, or itself if it has no more."""
        if count >= self.size:
            return self
        return dataclasses.replace(
            self,
            size=count,
            examples=self.examples.take(count),
            version=digest((self.version, count)),
        )


@dataclasses.dataclass(frozen=True)
class FaceData:
    """A data set of real and fake faces.

    Args:
        name: its TFDS name, or its folder.
        image_size: the side of its images, in pixels.
        splits: its splits by name.
        has_fakes: whether it is more than a source of reals.
        parts: of several data sets that became one, each as it is. Each is a
            family of fakes.
    """

    name: str
    image_size: int
    splits: dict[str, FaceSplit]
    has_fakes: bool = True
    parts: tuple["FaceData", ...] = ()

    @property
    def families(self) -> list[str]:
        """The names of several families of fakes; empty if there is one."""
        found = [part.family for part in self.parts if part.has_fakes]
        return sorted(found) if len(found) > 1 else []

    @property
    def family(self) -> str:
        """The name of its fakes, without the folders that they lie in."""
        return self.name.rsplit("/", 1)[-1]

    def images(self, split: str) -> int:
        """How many different images a split has.

        The training split of several data sets repeats those of small ones.
        """
        return sum(part.splits[split].size for part in self.parts or (self,))


def without_autotuning() -> tf.data.Options:
    """Options that avoid a wait of up to a minute at the end of a pass.

    The thread that tunes a pipeline can miss that its iterator ends. It then
    sleeps on while the iterator waits for it, often on one CPU (TensorFlow
    2.21: `Model::OptimizeLoop` is woken before `IsCancelled` tells it why).
    Without tuning, parallel steps use one thread for each CPU.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def listing(files: Iterable[Path], names: Iterable[str]) -> str:
    """A digest of which images a split has, for `FaceSplit`.

    Args:
        files: where the images lie.
        names: what tells the images apart, wherever they lie.

    Returns:
        64 hexadecimal digits.
    """
    sizes = [file.stat().st_size if file.exists() else 0 for file in files]
    return digest(sizes, list(names), PIPELINE_VERSION)


def digest(*parts: Any) -> str:
    """64 hexadecimal digits that change with the `repr` of the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def version(files: Iterable[Path], settings: Any) -> str:
    """A digest of what a split's examples come from.

    Sizes and times stand for contents, as in make: to read them is quick.

    Args:
        files: where the images lie.
        settings: what else decides what the examples are; its `repr` counts.

    Returns:
        64 hexadecimal digits.
    """
    pipeline = dfk.__version__, PIPELINE_VERSION
    return digest([_state(file) for file in files], settings, pipeline)


def _state(file: Path) -> tuple[str | int, ...]:
    # A link may lead nowhere; whoever reads it says so.
    if not file.exists():
        return (file.name,)
    state = file.stat()
    # A change of permissions leaves no trace in the time.
    readable = os.access(file, os.R_OK)
    return file.name, state.st_size, state.st_mtime_ns, readable


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
