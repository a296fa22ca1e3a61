"""Files that are written whole or not at all, also on a full disk."""

import errno
import os
import zipfile

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from dfk.files import no_room, replacing, writing

FULL = os.strerror(errno.ENOSPC)


def _keras(path):
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(path)


WRITERS = {
    "text.txt": lambda path: path.write_text("text"),
    "arrays.npz": lambda path: np.savez(path, np.zeros(9_000)),
    "image.png": lambda path: Image.new("RGB", (9, 9)).save(path),
    "table.parquet": lambda path: pq.write_table(pa.table({"x": [1]}), path),
    "tensorflow.bin": lambda path: tf.io.write_file(str(path), "text"),
    "model.keras": _keras,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path, name):
    path = tmp_path / name
    path.write_text("old")

    def write_again():
        with replacing(path) as partial:
            partial.symlink_to("/dev/full")
            WRITERS[name](partial)

    with pytest.raises(OSError, match=FULL) as caught:
        write_again()
    assert (caught.value.errno, caught.value.filename) == (28, str(path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new/model.keras"
    with replacing(path) as partial:
        _keras(partial)
        assert not path.exists()
    assert zipfile.is_zipfile(path)


def test_tensorflow_names_the_file_itself():
    message = (
        "{{function_node __wrapped__SaveV2_device_/job:a}} /tmp/a b/part-0.x; "
        f"{FULL} [Op:SaveV2]"
    )
    full = no_room(tf.errors.ResourceExhaustedError(None, None, message))
    assert (full.errno, full.filename) == (errno.ENOSPC, "/tmp/a b/part-0.x")
    memory = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
    assert no_room(memory) is None


def test_other_errors_pass_unchanged(tmp_path):
    for error in (ValueError("no"), OSError(errno.ENOENT, "gone", "there")):
        with pytest.raises(type(error)) as caught, writing(tmp_path):
            raise error
        assert caught.value is error
