"""Images made ready: decoded once for a look, and again for a network."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

import dfk
from dfk import data
from dfk.data import FaceSplit, folders
from dfk.embedding.listing import ListedImage
from dfk.errors import UserError
from dfk.images.decode import decode
from dfk.images.faces import face_crops
from dfk.progress import track

# A face is recognised at this size, and 24,000 of them fit into 460 MB.
THUMBNAIL = 80

# -1 where the label is not known.
_LABELS = {"": -1, **{name: i for i, name in enumerate(folders.LABELS)}}


class _UnusableError(Exception):
    """Why a file is left out, as the end of a sentence."""


@dataclass(frozen=True)
class Collection:
    """Readable images.

    Args:
        images: what is known of each.
        thumbnails: uint8 `[N, 80, 80, 3]`.
        splits: their pixels, as splits that together have the same order.
        skipped: sentences about the files that were left out.
    """

    images: list[ListedImage]
    thumbnails: np.ndarray
    splits: list[FaceSplit]
    skipped: list[str]


def from_files(
    images: Sequence[ListedImage], image_size: int, faces: bool = False
) -> Collection:
    """Reads files, and leaves out those that cannot be read.

    Args:
        images: what `dfk.embedding.images.find` found.
        image_size: the side of the pixels that a network gets.
        faces: cuts the largest face out of each image first, since that is
            whom a photograph is of.

    Returns:
        The images that could be read.

    Raises:
        UserError: none could be.

    Example:
        >>> from_files(find(["photographs"]), 160, faces=True).skipped
        ['photographs/tree.jpg shows no face']
    """
    kept, thumbnails, sources, skipped = [], [], [], []
    digest = hashlib.sha256(f"{dfk.__version__} {image_size}".encode())
    for image in track(images, "reading", len(images)):
        try:
            content, thumbnail = _read(image, image_size, faces)
        except _UnusableError as error:
            skipped.append(f"{image.path} {error}")
            continue
        digest.update(hashlib.sha256(content).digest())
        kept.append(image)
        thumbnails.append(thumbnail)
        sources.append(content if faces else image.path)
    if not kept:
        raise UserError(
            f"None of {len(images)} files could be used; the first: "
            f"{skipped[0]}."
        )
    read = tf.identity if faces else tf.io.read_file
    split = _split(kept, sources, read, image_size, digest)
    return Collection(kept, np.stack(thumbnails), [split], skipped)


def from_dataset(name: str, image_size: int, split: str = "all") -> Collection:
    """Reads a data set of TFDS, and builds it first where that is needed.

    Args:
        name: such as `real_fake_faces/sample`.
        image_size: the side of the pixels that a network gets.
        split: a split's name, or `all`.

    Returns:
        All images of those splits.

    Raises:
        UserError: there is no such data set, or it could not be downloaded.
    """
    wanted = data.SPLITS if split == "all" else (split,)
    faces = data.load(name, image_size=image_size, splits=wanted)
    images, thumbnails = [], []
    for part in faces.splits.values():
        for example in track(
            part.examples.map(_shrink), f"reading {part.name}", part.size
        ):
            images.append(
                ListedImage(
                    id=example["id"].numpy().decode(),
                    label=folders.LABELS[int(example["label"])],
                    identity=example["group"].numpy().decode(),
                    split=part.name,
                )
            )
            thumbnails.append(example["image"].numpy())
    return Collection(
        without_trivial_groups(images),
        np.stack(thumbnails),
        list(faces.splits.values()),
        skipped=[],
    )


def _read(
    image: ListedImage, image_size: int, faces: bool
) -> tuple[bytes, np.ndarray]:
    """An encoded image, or the face in it, and its thumbnail."""
    try:
        content = Path(image.path).read_bytes()
        if faces:
            content = _largest_face(content, image_size)
        return content, decode(content, THUMBNAIL).numpy()
    except OSError as error:
        reason = f"cannot be opened: {error.strerror or error}"
        raise _UnusableError(reason) from error
    except tf.errors.OpError as error:
        raise _UnusableError("is no picture that can be decoded") from error


def _largest_face(content: bytes, image_size: int) -> bytes:
    crops = face_crops(content)
    if not crops:
        raise _UnusableError("shows no face")
    _, largest = max(crops, key=lambda crop: crop[0].box[2] * crop[0].box[3])
    # Losslessly and at its final size: crops stay in memory.
    return tf.io.encode_png(decode(largest, image_size)).numpy()


def _split(images, sources, read, image_size, digest) -> FaceSplit:
    examples = {
        "image": sources,
        "label": [_LABELS[image.label] for image in images],
        "id": [image.id for image in images],
        "group": [image.identity or image.id for image in images],
    }
    digest.update(repr(images).encode())
    return FaceSplit(
        "pictures",
        len(images),
        tf.data.Dataset.from_tensor_slices(examples).map(
            lambda row: row | {"image": decode(read(row["image"]), image_size)},
            num_parallel_calls=tf.data.AUTOTUNE,
        ),
        digest.hexdigest(),
    )


def _shrink(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    size = [THUMBNAIL, THUMBNAIL]
    pixels = tf.image.resize(example["image"], size, antialias=True)
    return example | {"image": tf.saturate_cast(tf.round(pixels), tf.uint8)}


def without_trivial_groups(images: list[ListedImage]) -> list[ListedImage]:
    """Drops groups of one image each, which say nothing of identity."""
    if len({image.identity for image in images}) < len(images):
        return images
    return [replace(image, identity="") for image in images]
