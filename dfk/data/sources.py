"""Loads a data set of faces: one built with TFDS, or any folder."""

import contextlib
import dataclasses
import difflib
import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging

import dfk
from dfk.data import folders
from dfk.errors import UserError
from dfk.images import decode

SPLITS = tuple(folders.SPLITS)
DEFAULT = "real_fake_faces/sample"

_FOLDER_IMAGE_SIZE = 128
# Small enough for a broken picture to be met before much is decoded.
_FILES_AT_ONCE = 16
_UNREADABLE = "dfk cannot decode"


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


def load(
    dataset: str = DEFAULT,
    data_dir: str | None = None,
    image_size: int | None = None,
    splits: Sequence[str] = SPLITS,
    manual_dir: str | None = None,
    limit: int | None = None,
) -> FaceData:
    """Loads a data set, and builds it first where that is needed.

    Args:
        dataset: `real_fake_faces/sample`, `/kaggle` or `/kaggle_full`, or the
            path of a folder as for `data_dir`.
        data_dir: a folder `{train,valid,test}/{real,fake}/*`, or one that
            holds it in the Kaggle archive's nesting; instead of `dataset`. A
            file `groups.csv` in it (`path,group`) says which of its images
            belong together.
        image_size: the side of the images, in pixels; the default is what is
            stored, and 128 for a folder.
        splits: the splits to load.
        manual_dir: where the Kaggle archive lies, if it is not to be
            downloaded.
        limit: takes only the first images of each split, as many real as
            fake ones.

    Returns:
        The data set with its splits.

    Raises:
        UserError: there is no such data set, it lacks something, or it could
            not be downloaded.

    Example:
        >>> data = load("real_fake_faces/sample", splits=["test"])
        >>> data.splits["test"].size
        192
    """
    folder = data_dir or (dataset if _is_path(dataset) else None)
    if folder:
        return _load_folder(
            Path(folder).expanduser(),
            image_size or _FOLDER_IMAGE_SIZE,
            splits,
            limit,
        )
    builder = _built(dataset, manual_dir)
    stored_size = builder.info.features["image"].shape[0]
    return FaceData(
        dataset,
        image_size or stored_size,
        {
            name: _tfds_split(builder, name, image_size or stored_size, limit)
            for name in splits
        },
    )


@contextlib.contextmanager
def unreadable_files() -> Iterator[None]:
    """Turns the failure to decode a folder's file into a sentence.

    Files are decoded when their turn comes, so a broken one is met far from
    `load`, as an error of the pipeline. What iterates over examples, in
    `fit` as well, belongs inside this.

    Raises:
        UserError: a file is no picture; the message names it.

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
        raise UserError(
            f"{path[1]} is no picture that can be decoded: replace or remove "
            "it."
        ) from error


def _is_path(dataset: str) -> bool:
    return dataset.startswith((".", "/", "~")) or Path(dataset).is_dir()


def _load_folder(
    folder: Path, image_size: int, splits: Sequence[str], limit: int | None
) -> FaceData:
    if not folder.is_dir():
        raise UserError(
            f"No folder {folder}: pass one that holds train, valid and test, "
            "each with folders real and fake."
        )
    root = folders.root(folder) or folder
    groups = folders.groups(root)
    return FaceData(
        str(folder),
        image_size,
        {
            name: _folder_split(root, name, groups, image_size, limit)
            for name in splits
        },
    )


def _folder_split(
    root: Path,
    name: str,
    groups: dict[str, str],
    image_size: int,
    limit: int | None,
) -> FaceSplit:
    paths, labels = _by_turns(*_classes(root, name), limit)
    ids = [path.relative_to(root).as_posix() for path in paths]
    files = {
        "image": [str(path) for path in paths],
        "label": tf.constant(labels, tf.int64),
        "id": ids,
        "group": [groups.get(id, id) for id in ids],
    }
    examples = (
        tf.data.Dataset.from_tensor_slices(files)
        .batch(_FILES_AT_ONCE)
        .map(
            lambda batch: batch | {"image": _read(batch["image"], image_size)},
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .unbatch()
        .apply(tf.data.experimental.assert_cardinality(len(paths)))
    )
    digest = version(paths, image_size, *ids, *files["group"])
    return FaceSplit(name, len(paths), examples, digest)


def _classes(root: Path, name: str) -> list[list[Path]]:
    """The files of the real and of the fake images of one split."""
    folder = folders.split_folder(root, name)
    if folder is None:
        raise UserError(
            f"{root} has no split {name}: it needs a folder "
            f"{' or '.join(folders.SPLITS[name])} that holds folders real and "
            "fake."
        )
    classes = []
    for label in folders.LABELS:
        files = folders.pictures(folder / label)
        if not files:
            raise UserError(
                f"{folder / label} holds no pictures: put the {label} images "
                f"of the {name} split there (JPEG, PNG, WebP, BMP or GIF)."
            )
        classes.append(files)
    return classes


def _by_turns(
    real: list[Path], fake: list[Path], limit: int | None
) -> tuple[list[Path], list[int]]:
    """Real, fake, real, fake, ..., then what one class has more."""
    labelled = [(i, 0, path) for i, path in enumerate(real)]
    labelled += [(i, 1, path) for i, path in enumerate(fake)]
    labelled = sorted(labelled, key=lambda row: row[:2])[:limit]
    return [row[2] for row in labelled], [row[1] for row in labelled]


def _read(paths: tf.Tensor, image_size: int) -> tf.Tensor:
    """Reads a batch of files; a broken one is an error that names it."""
    contents = tf.map_fn(tf.io.read_file, paths)
    images, readable = decode.decode_batch(contents, image_size)
    broken = tf.boolean_mask(paths, ~readable)[:1]
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.reduce_all(readable), [_UNREADABLE, broken])]
    ):
        return tf.ensure_shape(
            tf.cast(images, tf.uint8), [None, image_size, image_size, 3]
        )


def version(files: Iterable[Path], *settings: str | int) -> str:
    """A digest of what a split's examples come from.

    Times stand for contents, as in make: reading them is quick.

    Args:
        files: where the pictures lie.
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


def _built(dataset: str, manual_dir: str | None):
    """The TFDS builder of a data set, which it builds if need be."""
    import tensorflow_datasets as tfds

    from dfk.datasets.real_fake_faces import Builder

    known = [f"{Builder.name}/{name}" for name in Builder.builder_configs]
    if dataset not in known:
        closest = difflib.get_close_matches(dataset, known, 1, 0) or known
        raise UserError(
            f"No data set {dataset}: did you mean {closest[0]}? (known: "
            f"{', '.join(known)}, or a folder with --data_dir)"
        )
    if manual_dir and not folders.root(Path(manual_dir).expanduser()):
        raise UserError(
            f"No archive in {manual_dir}: --manual_dir must hold "
            "real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}."
        )
    with _quiet():
        # TFDS itself reads the variable once, when it is imported.
        builder = tfds.builder(
            dataset, data_dir=os.environ.get("TFDS_DATA_DIR")
        )
        if not builder.is_prepared():
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    manual_dir=manual_dir,
                    compute_stats=tfds.download.ComputeStatsMode.SKIP,
                )
            )
    return builder


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides what TFDS prints and logs, but not its progress bars."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def _tfds_split(
    builder, name: str, image_size: int, limit: int | None
) -> FaceSplit:
    import tensorflow_datasets as tfds

    # Labels are looked at before any image is decoded.
    stored = builder.as_dataset(
        split=name, decoders={"image": tfds.decode.SkipDecoding()}
    )
    classes = [
        stored.filter(lambda example, label=label: example["label"] == label)
        for label in range(len(folders.LABELS))
    ]
    size = builder.info.splits[name].num_examples
    size = size if limit is None else min(size, limit)
    examples = (
        tf.data.Dataset.choose_from_datasets(
            classes, tf.data.Dataset.range(2).repeat(), False
        )
        .take(size)
        .map(
            lambda example: {
                "image": decode.decode(example["image"], image_size),
                "label": example["label"],
                "id": example["id"],
                "group": example["group"],
            },
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .apply(tf.data.experimental.assert_cardinality(size))
    )
    records = map(Path, builder.info.splits[name].filepaths)
    digest = version(records, image_size, builder.info.full_name, size)
    return FaceSplit(name, size, examples, digest)
