"""Features are computed once, and again when anything they hang on changes."""

import shutil

import keras
import numpy as np
import pytest

from dfk import data
from dfk.models.features import features


@pytest.fixture
def faces(faces_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(faces_dir, tmp_path / "faces")


@pytest.fixture
def extractor():
    keras.utils.set_random_seed(0)
    return _extractor()


def _extractor(scale=1 / 255):
    images = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(scale)(images)
    x = keras.layers.Conv2D(4, 3)(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def _validation(folder, image_size=32):
    loaded = data.load(data_dir=str(folder), image_size=image_size)
    return loaded.splits["validation"]


def _files(tmp_path):
    return len(list((tmp_path / "cache/features").iterdir()))


def test_features_come_with_labels_ids_and_groups(faces, extractor):
    found = features(extractor, _validation(faces))
    assert found.values.shape == (40, 4)
    assert found.labels[:4].tolist() == [0, 1, 0, 1]
    assert found.ids[1] == found.groups[1] == "valid/fake/fake000.png"


def test_the_second_time_they_are_read_from_disk(faces, extractor, tmp_path):
    first = features(extractor, _validation(faces))
    (stored,) = (tmp_path / "cache/features").iterdir()
    written = stored.stat().st_mtime_ns
    second = features(extractor, _validation(faces))
    np.testing.assert_array_equal(first.values, second.values)
    assert stored.stat().st_mtime_ns == written


def test_an_equal_network_built_again_finds_them(faces, extractor, tmp_path):
    again = _extractor()
    again.set_weights(extractor.get_weights())
    again.trainable = False
    features(extractor, _validation(faces))
    features(again, _validation(faces))
    assert _files(tmp_path) == 1


def test_other_weights_ask_for_other_features(faces, extractor, tmp_path):
    first = features(extractor, _validation(faces))
    extractor.set_weights([2 * w for w in extractor.get_weights()])
    second = features(extractor, _validation(faces))
    assert _files(tmp_path) == 2
    assert not np.allclose(first.values, second.values)


def test_another_structure_asks_for_other_features(faces, extractor, tmp_path):
    other = _extractor(scale=1 / 128)
    other.set_weights(extractor.get_weights())
    features(extractor, _validation(faces))
    features(other, _validation(faces))
    assert _files(tmp_path) == 2


def test_a_changed_image_asks_for_other_features(faces, extractor, tmp_path):
    features(extractor, _validation(faces))
    shutil.copyfile(
        faces / "valid/fake/fake001.png", faces / "valid/real/real001.png"
    )
    features(extractor, _validation(faces))
    assert _files(tmp_path) == 2


def test_an_interrupted_computation_leaves_nothing(faces, extractor, tmp_path):
    (faces / "valid/real/real019.png").write_bytes(b"no picture")
    with pytest.raises(Exception, match=r"real019\.png"):
        features(extractor, _validation(faces))
    assert not (tmp_path / "cache/features").exists()
