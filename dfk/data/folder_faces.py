"""Reads the images of folders, as splits of a data set."""

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import tensorflow as tf

from dfk.data import folders, tfds_builds
from dfk.data.faces import FaceData, FaceSplit, listing, version
from dfk.data.folders import ImageFile, ImageFolder
from dfk.errors import UserError
from dfk.files import expanded
from dfk.images import FORMATS, decode

_IMAGE_SIZE = 128
_UNREADABLE = "dfk cannot decode"
_LABELS = {"": -1} | {name: label for label, name in enumerate(folders.LABELS)}


def load(
    data_dir: str,
    image_size: int | None,
    splits: Sequence[str],
    limit: int | None,
    needs_splits: bool,
    needs_both: bool,
) -> FaceData:
    """Loads a folder; for the arguments see `dfk.data.load`.

    `needs_splits` and `needs_both` say whether a folder without splits, and one
    without one of the classes, are refused.
    """
    folder = expanded(data_dir)
    if not folder.is_dir():
        raise UserError(
            f"No folder {folder}: pass one that holds train, valid and test, "
            "each with folders real and fake."
        )
    image_size = image_size or _IMAGE_SIZE
    listed = ImageFolder(folder)
    loaded, has_fakes = {}, False
    for name in splits:
        real, fake = _classes(listed, name, needs_splits, needs_both)
        has_fakes = has_fakes or bool(fake)
        files = _alternating(real, fake)[:limit]
        loaded[name] = face_split(name, files, image_size, "strict")
    listed.say_left_out()
    return FaceData(str(folder), image_size, loaded, has_fakes)


def _classes(
    listed: ImageFolder, split: str, needs_splits: bool, needs_both: bool
) -> list[list[ImageFile]]:
    """The real and the fake images of one split."""
    # Images to test on need no splits.
    without_splits = not needs_splits and not listed.has_splits
    found = listed.classes("" if without_splits else split)
    if not found:
        raise UserError(
            f"{listed.root} has no split {split}: it needs a folder "
            f"{' or '.join(folders.SPLITS[split])} that holds folders real "
            "and fake."
        )
    missing = [label for label in folders.LABELS if label not in found]
    if missing and needs_both:
        raise UserError(
            f"{listed.root} has no {missing[0]} pictures in its split {split}: "
            f"put them into a folder {missing[0]} there ({FORMATS})."
        )
    return [found.get(label, []) for label in folders.LABELS]


def _alternating(
    real: list[ImageFile], fake: list[ImageFile]
) -> list[ImageFile]:
    """Real, fake, real, fake, ..., then what one class has more."""
    pairs = itertools.zip_longest(real, fake)
    return [file for pair in pairs for file in pair if file]


def face_split(
    name: str,
    files: Sequence[ImageFile],
    image_size: int,
    on_broken: Literal["strict", "skip"],
    contents: Sequence[bytes] | None = None,
) -> FaceSplit:
    """Makes a split of image files, which are decoded in parallel.

    Args:
        name: of the split.
        files: at least one. Those without a label get -1, and those without a
            group are each its own.
        image_size: the side of the images, in pixels.
        on_broken: what to do when a file cannot be read or decoded. `strict`
            stops there, and `unreadable_files` names the file. `skip` goes on
            to the next one; the files whose ids do not come out are the
            broken ones, and `what_is_wrong` says why.
        contents: encoded images to take instead of what is in the files, such
            as crops of them.

    Returns:
        The split, in the order of the files. Its size counts all of them.

    Example:
        >>> files = ImageFolder(Path("faces")).splits()["test"]
        >>> split = face_split("test", files, 128, on_broken="skip")
        >>> read = {row["id"] for row in split.examples.as_numpy_iterator()}
        >>> [file.id for file in files if file.id.encode() not in read]
        ['test/fake/truncated.jpg']
    """
    columns = {
        "image": contents or [str(file.path) for file in files],
        "label": tf.constant([_LABELS[file.label] for file in files], tf.int64),
        "id": [file.id for file in files],
        "group": [file.group or file.id for file in files],
    }

    def read(number, row):
        encoded = row["image"] if contents else tf.io.read_file(row["image"])
        return number, row | {"image": decode.decode(encoded, image_size)}

    # What decodes has no name of a file to put into its error, so that each
    # policy begins with the readable files and their numbers.
    readable = (
        tf.data.Dataset.from_tensor_slices(columns)
        .enumerate()
        .map(read, num_parallel_calls=tf.data.AUTOTUNE)
        .ignore_errors()
    )
    if on_broken == "strict":
        examples = _complete(readable, [str(file.path) for file in files])
    else:
        examples = readable.map(lambda number, example: example)
    hashes = [hashlib.sha256(each).hexdigest() for each in contents or ()]
    settings = image_size, on_broken, columns["id"], columns["group"], hashes

    def chosen(ids: list[str]) -> tf.data.Dataset:
        wanted = set(ids)
        rows = [row for row, file in enumerate(files) if file.id in wanted]
        some = contents and [contents[row] for row in rows]
        kept = [files[row] for row in rows]
        return face_split(name, kept, image_size, on_broken, some).examples

    paths = [file.path for file in files]
    return FaceSplit(
        name,
        len(files),
        examples,
        version(paths, settings),
        listing(paths, columns["id"]),
        chosen,
    )


def _complete(
    readable: tf.data.Dataset, files: Sequence[str]
) -> tf.data.Dataset:
    """Fails where the numbers of readable files have a gap, naming the file."""
    paths, count = tf.constant(files), len(files)

    def check(expected, numbered):
        number, example = numbered
        unbroken = tf.raw_ops.Assert(
            condition=tf.equal(number, expected),
            data=[_UNREADABLE, paths[expected]],
        )
        with tf.control_dependencies([unbroken]):
            return expected + 1, tf.nest.map_structure(tf.identity, example)

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
        .apply(tf.data.experimental.assert_cardinality(count))
    )


@contextlib.contextmanager
def unreadable_files() -> Iterator[None]:
    """Turns the failure of a `strict` split into a sentence.

    A file is decoded when it is its turn, so a broken one is met far from
    `load`, as an error of the pipeline. What iterates over examples, in
    `fit` as well, belongs inside this.

    Raises:
        UserError: a file cannot be read or is no image, and the message names
            it; or the records of a TFDS data set are damaged.

    Example:
        >>> with unreadable_files():
        ...     model.fit(examples)
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        damaged = tfds_builds.find_damaged()
        if damaged is None:
            raise
        raise tfds_builds.damage(damaged) from error
    except tf.errors.InvalidArgumentError as error:
        named = re.search(rf"\[{_UNREADABLE}\] \[(.*)\]", str(error))
        if named is None:
            raise
        path = Path(named[1])
        remedy = "put it back, or make it readable"
        if os.access(path, os.R_OK):
            remedy = "replace or remove it"
        raise UserError(f"{path} {what_is_wrong(path)}: {remedy}.") from error


def what_is_wrong(path: Path) -> str:
    """Why a file is no example, as the end of a sentence about it.

    Example:
        >>> what_is_wrong(Path("notes.jpg"))
        'is not a picture that can be decoded'
    """
    try:
        reason = decode.why_unreadable(path.read_bytes())
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return f"is {reason}"
