"""Finds the images that a command line names, and reads them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from dfk import data
from dfk.data import FaceSplit, folders, names
from dfk.data.folder_faces import face_split, what_is_wrong
from dfk.data.folders import ImageFile, ImageFolder
from dfk.embedding.store import TEXTS
from dfk.errors import UserError
from dfk.files import expanded
from dfk.images import FORMATS
from dfk.images.decode import decode
from dfk.images.faces import face_crops
from dfk.progress import track

# A face is recognised at this size, and 24,000 of them fit into 460 MB.
THUMBNAIL = 80


@dataclass(frozen=True)
class Collection:
    """Readable images.

    Args:
        columns: what is known of each: str `[N]` under each of `id`, `path`,
            `label`, `identity` and `split`. An empty string is not known.
        thumbnails: uint8 `[N, 80, 80, 3]`.
        splits: their pixels, as splits that together have the same order.
            What iterates over them belongs inside `data.unreadable_files`.
        skipped: sentences about the files that were left out.
    """

    columns: dict[str, np.ndarray]
    thumbnails: np.ndarray
    splits: list[FaceSplit]
    skipped: list[str]


def find(
    arguments: Sequence[str],
    split: str = "all",
    leave_out: Path | None = None,
) -> list[ImageFile]:
    """Lists the images that files and folders stand for.

    A folder stands for all images in it and below it. Their labels, splits
    and groups are those of `dfk.data.folders.ImageFolder`.

    Args:
        arguments: paths of files and folders. Files that are named
            themselves may have any suffix.
        split: leaves only the images of that split, except with `all`.
        leave_out: a folder whose images are left out.

    Returns:
        The images, each file once.

    Raises:
        UserError: a path leads to nothing, or no image is left.

    Example:
        >>> find(["photographs"])[0]
        ImageFile(path=PosixPath('photographs/ann/1.jpg'), id='ann/1.jpg',
            label='', group='ann', split='')
    """
    names.require_images(arguments)
    found = {}
    for argument in arguments:
        path = expanded(argument)
        if path.is_dir():
            listed = ImageFolder(path)
            files = listed.tree(leave_out)
            listed.say_left_out(is_data_set=False)
        else:
            files = [ImageFile(path, id=str(path))]
        if len(arguments) > 1:
            # Two folders may hold files of one name.
            files = [replace(file, id=str(file.path)) for file in files]
        for file in files:
            found.setdefault(os.path.realpath(file.path), file)
    chosen = [f for f in found.values() if split in ("all", f.split)]
    if not chosen:
        of_split = "" if split == "all" else f" of the split {split}"
        raise UserError(
            f"No pictures{of_split} in {', '.join(arguments)}: pass a folder "
            f"that holds {FORMATS} files."
        )
    return chosen


def from_files(
    files: Sequence[ImageFile], image_size: int, faces: bool = False
) -> Collection:
    """Reads files, and leaves out those that cannot be read.

    Args:
        files: what `find` found.
        image_size: the side of the pixels that a network gets.
        faces: crops the largest face of each image first, since that is whom
            a photograph is of.

    Returns:
        The images that could be read.

    Raises:
        UserError: none could be.

    Example:
        >>> from_files(find(["photographs"]), 160, faces=True).skipped
        ['photographs/tree.jpg shows no face']
    """
    total, crops, skipped = len(files), None, []
    if faces:
        files, crops, skipped = _largest_faces(files, image_size)
    thumbnails = _thumbnails(files, crops) if files else {}
    kept = []
    for file in files:
        if file.id in thumbnails:
            kept.append(file)
        else:
            skipped.append(f"{file.path} {what_is_wrong(file.path)}")
    if not kept:
        raise UserError(
            f"None of {total} files could be used; the first: {skipped[0]}."
        )
    rows = [(f.id, str(f.path), f.label, f.group, f.split) for f in kept]
    return Collection(
        _columns(rows),
        np.stack(list(thumbnails.values())),
        [face_split("images", kept, image_size, "strict", crops)],
        skipped,
    )


def from_dataset(name: str, image_size: int, split: str = "all") -> Collection:
    """Reads a data set of TFDS, and builds it first where that is needed.

    Args:
        name: such as `real_fake_faces/sample`.
        image_size: the side of the pixels that a network gets.
        split: a split's name, or `all`.

    Returns:
        All images of those splits. Their groups are their identities, unless
        each image has a group of its own.

    Raises:
        UserError: there is no such data set, or it could not be downloaded.
    """
    wanted = data.SPLITS if split == "all" else (split,)
    faces = data.load(name, image_size=image_size, splits=wanted)
    rows, thumbnails = [], []
    for part in faces.splits.values():
        examples = part.examples.map(_shrink).as_numpy_iterator()
        for example in track(examples, f"reading {part.name}", part.size):
            id, group = example["id"].decode(), example["group"].decode()
            label = folders.LABELS[example["label"]]
            rows.append((id, "", label, group, part.name))
            thumbnails.append(example["image"])
    columns = _columns(rows)
    if len(set(columns["identity"])) == len(rows):
        columns["identity"] = np.full(len(rows), "")
    return Collection(
        columns,
        np.stack(thumbnails),
        list(faces.splits.values()),
        skipped=[],
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Rows with a text for each of `TEXTS`, as columns."""
    columns = zip(*rows, strict=True)
    return {
        name: np.array(column)
        for name, column in zip(TEXTS, columns, strict=True)
    }


def _largest_faces(
    files: Sequence[ImageFile], image_size: int
) -> tuple[list[ImageFile], list[bytes], list[str]]:
    """The files that show a face, its crops as PNG, and what was skipped."""
    kept, crops, skipped = [], [], []
    for file in track(files, "finding faces", len(files)):
        try:
            found = face_crops(file.path.read_bytes())
        except (OSError, tf.errors.OpError):
            skipped.append(f"{file.path} {what_is_wrong(file.path)}")
            continue
        if not found:
            skipped.append(f"{file.path} shows no face")
            continue
        _, crop = max(found, key=lambda f: f[0].box[2] * f[0].box[3])
        kept.append(file)
        # Losslessly and at its final size: crops stay in memory.
        crops.append(tf.io.encode_png(decode(crop, image_size)).numpy())
    return kept, crops, skipped


def _thumbnails(
    files: Sequence[ImageFile], crops: Sequence[bytes] | None
) -> dict[str, np.ndarray]:
    """The thumbnails of readable files by their ids, in the same order."""
    split = face_split("thumbnails", files, THUMBNAIL, "skip", crops)
    rows = track(split.examples.as_numpy_iterator(), "reading", len(files))
    return {row["id"].decode(): row["image"] for row in rows}


def _shrink(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    size = [THUMBNAIL, THUMBNAIL]
    pixels = tf.image.resize(example["image"], size, antialias=True)
    return example | {"image": tf.saturate_cast(tf.round(pixels), tf.uint8)}
