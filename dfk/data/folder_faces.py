"""Loads a folder of images as a data set."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from dfk.data import folders
from dfk.data.faces import FaceData, FaceSplit, version
from dfk.errors import UserError
from dfk.images import decode

_IMAGE_SIZE = 128
_UNREADABLE = "dfk cannot decode"


def load(
    folder: Path,
    image_size: int | None,
    splits: Sequence[str],
    limit: int | None,
    one_class: bool,
) -> FaceData:
    """Loads a folder; for the arguments see `dfk.data.load`."""
    if not folder.is_dir():
        raise UserError(
            f"No folder {folder}: pass one that holds train, valid and test, "
            "each with folders real and fake."
        )
    image_size = image_size or _IMAGE_SIZE
    root = folders.root(folder) or folder
    groups = folders.groups(root)
    return FaceData(
        str(folder),
        image_size,
        {
            name: _split(
                root,
                name,
                _classes(root, name, one_class),
                groups,
                image_size,
                limit,
            )
            for name in splits
        },
    )


def _split(
    root: Path,
    name: str,
    classes: list[list[Path]],
    groups: dict[str, str],
    image_size: int,
    limit: int | None,
) -> FaceSplit:
    paths, labels = _by_turns(*classes, limit)
    ids = [path.relative_to(root).as_posix() for path in paths]
    files = {
        "image": [str(path) for path in paths],
        "label": tf.constant(labels, tf.int64),
        "id": ids,
        "group": [groups.get(id, id) for id in ids],
    }
    examples = _decoded(files, image_size).apply(
        tf.data.experimental.assert_cardinality(len(paths))
    )
    digest = version(paths, image_size, *ids, *files["group"])
    return FaceSplit(name, len(paths), examples, digest)


def _classes(root: Path, name: str, one_class: bool) -> list[list[Path]]:
    """The files of the real and of the fake images of one split."""
    folder = folders.split_folder(root, name)
    if folder is None and one_class and not folders.root(root):
        # Images to test on need no splits.
        folder = root
    if folder is None:
        raise UserError(
            f"{root} has no split {name}: it needs a folder "
            f"{' or '.join(folders.SPLITS[name])} that holds folders real and "
            "fake."
        )
    classes = []
    for label in folders.LABELS:
        files = folders.images(folder / label)
        if not files and not one_class:
            raise UserError(
                f"{folder / label} holds no pictures: put the {label} images "
                f"of the {name} split there (JPEG, PNG, WebP, BMP or GIF)."
            )
        classes.append(files)
    if not any(classes):
        raise UserError(
            f"{folder} holds no pictures: put them into folders real and fake "
            "there, or into one of the two (JPEG, PNG, WebP, BMP or GIF)."
        )
    return classes


def _by_turns(
    real: list[Path], fake: list[Path], limit: int | None
) -> tuple[list[Path], list[int]]:
    """Real, fake, real, fake, ..., then what one class has more."""
    labelled = [(i, 0, path) for i, path in enumerate(real)]
    labelled += [(i, 1, path) for i, path in enumerate(fake)]
    labelled = sorted(labelled, key=lambda row: row[:2])[:limit]
    return [row[2] for row in labelled], [row[1] for row in labelled]


def _decoded(files: dict[str, Any], image_size: int) -> tf.data.Dataset:
    """Decodes files in parallel; a broken one is an error that names it.

    What decodes has no name to put into its error. So broken files are
    dropped, and the gap in the numbers of the others tells which one it was.
    """
    paths = tf.constant(files["image"])
    count = len(files["image"])

    def decode_one(number, file):
        contents = tf.io.read_file(file["image"])
        return number, file | {"image": decode.decode(contents, image_size)}

    def check(expected, numbered):
        number, example = numbered
        unbroken = tf.raw_ops.Assert(
            condition=tf.equal(number, expected),
            data=[_UNREADABLE, paths[expected]],
        )
        with tf.control_dependencies([unbroken]):
            return expected + 1, tf.nest.map_structure(tf.identity, example)

    readable = (
        tf.data.Dataset.from_tensor_slices(files)
        .enumerate()
        .map(decode_one, num_parallel_calls=tf.data.AUTOTUNE)
        .ignore_errors()
    )
    # Behind the last file, so that a gap is seen even there.
    end = tf.nest.map_structure(
        lambda spec: tf.zeros(spec.shape, spec.dtype), readable.element_spec[1]
    )
    return (
        readable.concatenate(
            tf.data.Dataset.from_tensors((tf.constant(count, tf.int64), end))
        )
        .scan(tf.constant(0, tf.int64), check)
        .take(count)
    )


@contextlib.contextmanager
def unreadable_files() -> Iterator[None]:
    """Turns the failure to read or decode a folder's file into a sentence.

    Files are decoded when their turn comes, so a broken one is met far from
    `load`, as an error of the pipeline. What iterates over examples, in
    `fit` as well, belongs inside this.

    Raises:
        UserError: a file cannot be read or is no image; the message names
            it.

    Example:
        >>> with unreadable_files():
        ...     model.fit(examples)
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        path = re.search(rf"\[{_UNREADABLE}\] \[(.*)\]", str(error))
        if path is None:
            raise
        raise UserError(_what_is_wrong(Path(path[1]))) from error


def _what_is_wrong(path: Path) -> str:
    try:
        path.read_bytes()
    except OSError as error:
        return (
            f"{path} cannot be read ({error.strerror}): put it back, or make "
            "it readable."
        )
    return f"{path} is no picture that can be decoded: replace or remove it."
