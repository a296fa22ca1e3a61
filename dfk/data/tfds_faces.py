"""Loads a data set of TFDS, and builds it first where that is needed."""

import contextlib
import difflib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging

from dfk.data import folders
from dfk.data.faces import FaceData, FaceSplit, version
from dfk.errors import UserError
from dfk.images import decode


def load(
    dataset: str,
    image_size: int | None,
    splits: Sequence[str],
    manual_dir: str | None,
    limit: int | None,
) -> FaceData:
    """Loads a TFDS data set; for the arguments see `dfk.data.load`."""
    builder = _built(dataset, manual_dir)
    size = image_size or builder.info.features["image"].shape[0]
    return FaceData(
        dataset,
        size,
        {name: _split(builder, name, size, limit) for name in splits},
    )


def _built(dataset: str, manual_dir: str | None):
    """The TFDS builder of a data set, which is built where that is needed."""
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
        # TFDS itself reads this variable only once, when it is imported.
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
    examples = (
        tf.data.Dataset.choose_from_datasets(
            classes, tf.data.Dataset.range(2).repeat(), False
        )
        .take(size)
        .map(
            lambda example: (
                example | {"image": decode.decode(example["image"], image_size)}
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .apply(tf.data.experimental.assert_cardinality(size))
    )
    records = map(Path, builder.info.splits[name].filepaths)
    settings = image_size, builder.info.full_name, size
    digest = version(records, settings)
    return FaceSplit(name, size, examples, digest)
