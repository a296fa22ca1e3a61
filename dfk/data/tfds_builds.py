"""The data sets that TFDS builds: opening and building, and what is damaged."""

import contextlib
import difflib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from absl import logging
from google.protobuf import json_format

from dfk.data import folders
from dfk.errors import UserError
from dfk.files import exclusive_lock, expanded, writing

# Bytes that TFRecord adds to each example: its length and two checksums.
_FRAME = 16


def build(dataset: str, manual_dir: str | None):
    """Opens a data set, and builds it first where that is needed.

    Args:
        dataset: such as `real_fake_faces/sample`.
        manual_dir: where the Kaggle archive lies, if anywhere.

    Returns:
        Its TFDS builder.

    Raises:
        UserError: there is no such data set, it is damaged, or it could not
            be downloaded or written.
    """
    import tensorflow_datasets as tfds

    from dfk.datasets.real_fake_faces import Builder

    known = [f"{Builder.name}/{name}" for name in Builder.builder_configs]
    if dataset not in known:
        closest = difflib.get_close_matches(dataset, known, 1, 0) or known
        raise UserError(
            f"No data set {dataset}: did you mean {closest[0]}? (known: "
            f"{', '.join(known)}, or a folder with --data_dir)"
        )
    if manual_dir and not folders.root(expanded(manual_dir)):
        raise UserError(
            f"No archive in {manual_dir}: --manual_dir must hold "
            "real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}."
        )
    place = _root() / dataset
    built = place / str(Builder.VERSION)
    if built.is_dir() and not _is_whole(built):
        raise damage(built)
    with _quiet():
        try:
            builder = tfds.builder(dataset, data_dir=str(_root()))
        except (ValueError, AssertionError, json_format.ParseError) as error:
            raise damage(built) from error
        if not builder.is_prepared():
            _make(place)
            # A second process waits, and then finds it built.
            with exclusive_lock(place.parent):
                # Of processes that were killed while they built it.
                for left in place.glob(f"incomplete.*_{Builder.VERSION}"):
                    shutil.rmtree(left)
                with writing(builder.data_path):
                    builder.download_and_prepare(
                        download_config=tfds.download.DownloadConfig(
                            manual_dir=manual_dir,
                            compute_stats=tfds.download.ComputeStatsMode.SKIP,
                        )
                    )
    return builder


def damage(folder: Path) -> UserError:
    """The error that names the folder of a damaged data set."""
    return UserError(
        f"The data set built in {folder} is damaged: delete that folder, and "
        "repeat the command to build it again."
    )


def find_damaged() -> Path | None:
    """The first folder of a built data set whose records are damaged.

    TensorFlow does not say which file a damaged record is in. So all records
    are read, which may take minutes.
    """
    for info in sorted(_root().glob("real_fake_faces/*/*/dataset_info.json")):
        if not _is_whole(info.parent):
            return info.parent
        records = map(str, info.parent.glob("*.tfrecord*"))
        try:
            for _ in tf.data.TFRecordDataset(list(records)):
                pass
        except tf.errors.DataLossError:
            return info.parent
    return None


def _is_whole(folder: Path) -> bool:
    """Whether records have the sizes that TFDS noted when it wrote them."""
    try:
        info = json.loads((folder / "dataset_info.json").read_bytes())
        for split in info["splits"]:
            files = folder.glob(f"*-{split['name']}.tfrecord*")
            size = sum(file.stat().st_size for file in files)
            examples = sum(map(int, split["shardLengths"]))
            if size != int(split["numBytes"]) + _FRAME * examples:
                return False
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return True


def _root() -> Path:
    """Where TFDS keeps what it builds."""
    import tensorflow_datasets as tfds

    # TFDS itself reads the variable only once, when it is imported.
    return expanded(
        os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    )


def _make(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"No data set can be built in {_root()} ({error.strerror}): set "
            "TFDS_DATA_DIR to a folder that can be written."
        ) from error


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
