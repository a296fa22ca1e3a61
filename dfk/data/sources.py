"""Loads a data set by its name or folder, or several as one."""

import functools
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from dfk.data import folder_faces, folders, names, tfds_builds
from dfk.data.faces import (
    FaceData,
    FaceSplit,
    digest,
    listing,
    version,
    without_autotuning,
)
from dfk.errors import UserError
from dfk.images import decode

SPLITS = tuple(folders.SPLITS)
DEFAULT = "real_fake_faces/sample"


def load(
    dataset: str = DEFAULT,
    data_dir: str | None = None,
    image_size: int | None = None,
    splits: Sequence[str] = SPLITS,
    manual_dir: str | None = None,
    limit: int | None = None,
    one_class: bool = False,
) -> FaceData:
    """Loads a data set, and builds it first where that is needed.

    Several, separated by commas, become one. Its training split has as many
    images of each of them: the smaller ones are repeated until the largest
    ends. The other splits hold each image once. One of them may be a source of
    reals, a folder without fakes.

    Args:
        dataset: `real_fake_faces/sample`, `/kaggle` or `/kaggle_full`, or the
            path of a folder as for `data_dir`.
        data_dir: instead of `dataset`, a folder
            `{train,valid,test}/{real,fake}/*`, or one that holds it in the
            Kaggle archive's nesting. A file `groups.csv` in it (`path,group`)
            says which of its images belong together.
        image_size: the side of the images, in pixels; the default is what is
            stored, and 128 for a folder.
        splits: the splits to load.
        manual_dir: where the Kaggle archive lies, if it is not to be
            downloaded.
        limit: takes only the first images of each split, as many real as
            fake ones; of several data sets, of each.
        one_class: also accepts what is enough to test on: folders with images
            of one class only, or `{real,fake}/*` without splits, which then
            is the split.

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
    parts: list[FaceData] = []
    listed = names.split(data_dir or dataset)
    for name in listed:
        if data_dir or names.is_folder(name):
            # Beside others, reals alone are a source of reals.
            needs_both = not one_class and len(listed) == 1
            part = folder_faces.load(
                name, image_size, splits, limit, not one_class, needs_both
            )
        else:
            builder = tfds_builds.build(name, manual_dir)
            size = image_size or builder.info.features["image"].shape[0]
            examples = {s: _split(builder, s, size, limit) for s in splits}
            part = FaceData(name, size, examples)
        parts.append(part)
        # The size of the first one is that of all.
        image_size = part.image_size
    if not one_class and not any(part.has_fakes for part in parts):
        raise UserError(
            f"{' and '.join(part.name for part in parts)} hold no fakes: name "
            "a data set that has some."
        )
    return parts[0] if len(parts) == 1 else _merged(parts)


def _split(builder, name: str, image_size: int, limit: int | None) -> FaceSplit:
    import tensorflow_datasets as tfds

    # Labels are compared before any image is decoded.
    stored = builder.as_dataset(
        split=name, decoders={"image": tfds.decode.SkipDecoding()}
    )
    classes = [
        stored.filter(lambda example, label=label: example["label"] == label)
        for label in range(len(folders.LABELS))
    ]
    size = builder.info.splits[name].num_examples
    size = size if limit is None else min(size, limit)
    encoded = tf.data.Dataset.choose_from_datasets(
        classes, tf.data.Dataset.range(2).repeat(), False
    ).take(size)

    def decoded(some: tf.data.Dataset) -> tf.data.Dataset:
        return some.map(
            lambda example: (
                example | {"image": decode.decode(example["image"], image_size)}
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    def chosen(ids: list[str]) -> tf.data.Dataset:
        some = encoded.filter(lambda e: tf.reduce_any(tf.equal(e["id"], ids)))
        return decoded(some.with_options(without_autotuning()))

    examples = decoded(encoded).apply(
        tf.data.experimental.assert_cardinality(size)
    )
    records = [Path(path) for path in builder.info.splits[name].filepaths]
    settings = image_size, builder.info.full_name, size
    return FaceSplit(
        name,
        size,
        examples,
        version(records, settings),
        listing(records, (builder.info.full_name, str(size))),
        chosen,
    )


def _merged(parts: Sequence[FaceData]) -> FaceData:
    prefixes = names.prefixes([part.name for part in parts])
    return FaceData(
        ",".join(part.name for part in parts),
        parts[0].image_size,
        parts=tuple(parts),
        splits={
            split: _merged_split(
                split,
                {
                    prefix: part.splits[split]
                    for prefix, part in zip(prefixes, parts, strict=True)
                },
            )
            for split in parts[0].splits
        },
    )


def _merged_split(name: str, parts: dict[str, FaceSplit]) -> FaceSplit:
    """The images of several splits, alternating; their names get a prefix."""
    largest = max(part.size for part in parts.values())
    sizes = [
        largest if name == "train" else part.size for part in parts.values()
    ]
    examples = tf.data.Dataset.choose_from_datasets(
        [
            _prefixed(part.examples, prefix).repeat().take(size)
            for (prefix, part), size in zip(parts.items(), sizes, strict=True)
        ],
        tf.data.Dataset.range(len(parts)).repeat(),
        stop_on_empty_dataset=False,
    ).apply(tf.data.experimental.assert_cardinality(sum(sizes)))

    def chosen(ids: list[str]) -> tf.data.Dataset:
        some = []
        for prefix, part in parts.items():
            of_part = [id for id in ids if id.startswith(f"{prefix}/")]
            if of_part:
                own = [id.removeprefix(f"{prefix}/") for id in of_part]
                some.append(_prefixed(part.chosen(own), prefix))
        return functools.reduce(tf.data.Dataset.concatenate, some)

    return FaceSplit(
        name,
        sum(sizes),
        examples,
        digest([(prefix, part.version) for prefix, part in parts.items()]),
        digest([(prefix, part.listing) for prefix, part in parts.items()]),
        chosen,
    )


def _prefixed(examples: tf.data.Dataset, prefix: str) -> tf.data.Dataset:
    def rename(example):
        return example | {
            key: tf.strings.join([prefix, example[key]], "/")
            for key in ("id", "group")
        }

    return examples.map(rename)
