"""The image files of a folder data set, the broken ones included."""

import os
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from dfk.data import FaceSplit, faces, folders
from dfk.errors import UserError
from dfk.images import decode

_FILES_AT_ONCE = 16


@dataclass(frozen=True)
class File:
    """One image file.

    Args:
        path: where it lies.
        id: its path in the data set.
        label: 0 for real and 1 for fake.
        group: what it shares with images that belong to it; its id if none.
    """

    path: Path
    id: str
    label: int
    group: str


def listing(folder: Path) -> dict[str, list[File]]:
    """Lists what a data set has, though it may lack splits and classes.

    Args:
        folder: laid out `{train,valid,test}/{real,fake}/*`, or an archive
            that holds it.

    Returns:
        The files of each split that has any.

    Raises:
        UserError: there are none.

    Example:
        >>> {name: len(files) for name, files in listing(faces).items()}
        {'train': 1400, 'validation': 100, 'test': 300}
    """
    root = folders.root(folder) or folder
    groups = folders.groups(root)
    found = {name: _split_files(root, name, groups) for name in folders.SPLITS}
    if not any(found.values()):
        raise UserError(
            f"{folder} holds no pictures in {{train,valid,test}}/{{real,fake}}"
            ": pass a folder with that layout, or the name of a data set such "
            "as real_fake_faces/sample."
        )
    return {name: files for name, files in found.items() if files}


def face_split(name: str, files: list[File], image_size: int) -> FaceSplit:
    """Makes a split of files, of which the broken ones are passed over.

    Args:
        name: of the split.
        files: at least one.
        image_size: the side of its images, in pixels.

    Returns:
        The split; its size counts the broken files as well.
    """
    columns = {
        "image": [str(file.path) for file in files],
        "label": tf.constant([file.label for file in files], tf.int64),
        "id": [file.id for file in files],
        "group": [file.group for file in files],
    }
    # Directories and dangling links would end the pipeline, not the image.
    there = [
        os.access(file.path, os.R_OK) and file.path.is_file() for file in files
    ]
    columns = {
        key: tf.boolean_mask(values, there) for key, values in columns.items()
    }
    examples = (
        tf.data.Dataset.from_tensor_slices(columns)
        .batch(_FILES_AT_ONCE)
        .map(
            lambda batch: _decoded(batch, image_size),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .unbatch()
    )
    version = faces.version(
        (file.path for file in files),
        image_size,
        # Permissions change without a trace in the file's time.
        *map(int, there),
        *(part for file in files for part in (file.id, file.group)),
    )
    return FaceSplit(name, len(files), examples, version)


def _split_files(root: Path, name: str, groups: dict[str, str]) -> list[File]:
    folder = folders.split_folder(root, name)
    if folder is None:
        return []
    files = []
    for label, word in enumerate(folders.LABELS):
        for path in folders.images(folder / word):
            id = path.relative_to(root).as_posix()
            files.append(File(path, id, label, groups.get(id, id)))
    return files


def _decoded(batch: dict[str, tf.Tensor], image_size: int):
    """The readable images of a batch of files."""
    contents = tf.map_fn(tf.io.read_file, batch["image"])
    images, readable = decode.decode_batch(contents, image_size)
    batch = batch | {"image": images}
    return {
        key: tf.boolean_mask(values, readable) for key, values in batch.items()
    }
