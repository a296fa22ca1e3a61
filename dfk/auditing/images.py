"""What the checks of an audit compare, from one pass over a data set."""

import dataclasses
from collections.abc import Iterator, Sequence

import imagehash
import numpy as np
import tensorflow as tf
from PIL import Image

from dfk import data
from dfk.data import FaceSplit
from dfk.data.folder_faces import face_split
from dfk.data.folders import ImageFile, ImageFolder
from dfk.errors import UserError
from dfk.files import expanded
from dfk.images import decode
from dfk.models import facenet
from dfk.progress import track

HASH_SIDE = 16
THUMBNAIL_SIDE = 8


@dataclasses.dataclass(frozen=True)
class ImageTable:
    """The readable images of a data set, one row each.

    Args:
        splits: str `[N]`.
        labels: int64 `[N]`, 0 for real and 1 for fake.
        ids: str `[N]`.
        groups: str `[N]`. Images of one group are not independent.
        hashes: bool `[N, 256]`, perceptual hashes.
        mirrored: bool `[N, 256]`, those of the mirror images.
        thumbnails: uint8 `[N, 8, 8, 3]`.
    """

    splits: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    groups: np.ndarray
    hashes: np.ndarray
    mirrored: np.ndarray
    thumbnails: np.ndarray


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened data set.

    Args:
        splits: its splits by name.
        files: its files by the images' ids; None where a TFDS data set has
            only records.
    """

    splits: dict[str, FaceSplit]
    files: dict[str, ImageFile] | None

    def images(self, ids: set[str]) -> dict[str, np.ndarray]:
        """Reads some images, uint8 `[S, S, 3]`, by their ids."""
        if not ids:
            return {}
        splits = self.splits.values()
        if self.files is not None:
            splits = [_split("chosen", [self.files[id] for id in sorted(ids)])]
        found = {}
        for split in splits:
            for example in split.examples.as_numpy_iterator():
                id = example["id"].decode()
                if id in ids:
                    found[id] = example["image"]
                if len(found) == len(ids):
                    return found
        return found


def open_source(dataset: str) -> Source:
    """Opens a data set for an audit.

    Args:
        dataset: a folder `{train,valid,test}/{real,fake}/*`, which may lack
            splits and hold broken files, or the name of a TFDS data set.

    Raises:
        UserError: no such data set, or one without images.

    Example:
        >>> open_source("faces").splits["test"].size
        300
    """
    folder = expanded(dataset)
    if not folder.is_dir():
        return Source(data.load(dataset).splits, None)
    opened = ImageFolder(folder)
    listed = opened.splits()
    opened.say_left_out()
    if not listed:
        raise UserError(
            f"{folder} holds no pictures in {{train,valid,test}}/{{real,fake}}"
            ": pass a folder with that layout, or the name of a data set such "
            "as real_fake_faces/sample."
        )
    return Source(
        {name: _split(name, files) for name, files in listed.items()},
        {file.id: file for files in listed.values() for file in files},
    )


def _split(name: str, files: Sequence[ImageFile]) -> FaceSplit:
    # FaceNet's own size loses least of what it needs.
    return face_split(name, files, facenet.NATIVE_SIZE, on_broken="skip")


def image_table(source: Source) -> ImageTable:
    """Hashes and shrinks every readable image, with a progress bar.

    The perceptual hash is Zauner's, "Implementation and Benchmarking of
    Perceptual Image Hash Functions", 2010: which of the 16 x 16 lowest
    frequencies of the grey image are above their median.

    Args:
        source: from `open_source`.

    Returns:
        The images, split by split.

    Example:
        >>> image_table(open_source("faces")).hashes.shape
        (1800, 256)
    """
    rows = {field.name: [] for field in dataclasses.fields(ImageTable)}
    for split in source.splits.values():
        for example in _examples(split):
            image = Image.fromarray(example["image"])
            flipped = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            rows["splits"].append(split.name)
            rows["labels"].append(example["label"])
            rows["ids"].append(example["id"].decode())
            rows["groups"].append(example["group"].decode())
            rows["hashes"].append(_hash(image))
            rows["mirrored"].append(_hash(flipped))
            rows["thumbnails"].append(example["thumbnail"])
    return ImageTable(**{name: np.array(row) for name, row in rows.items()})


def _examples(split: FaceSplit) -> Iterator[dict]:
    def shrink(example):
        small = decode.center_crop_resize(example["image"], THUMBNAIL_SIDE)
        return example | {"thumbnail": small}

    examples = split.examples.map(
        shrink, num_parallel_calls=tf.data.AUTOTUNE
    ).prefetch(tf.data.AUTOTUNE)
    title = f"reading {split.name}"
    yield from track(examples.as_numpy_iterator(), title, split.size)


def _hash(image: Image.Image) -> np.ndarray:
    return imagehash.phash(image, hash_size=HASH_SIDE).hash.ravel()
