"""Features are computed once, and again when what they depend on changes."""

import shutil

import keras
import numpy as np
import pytest

from dfk import data
from dfk.models.features import features


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache; the folder of features in it."""
    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/features"


@pytest.fixture(scope="module")
def split(faces_dir):
    return _validation(faces_dir)


def _validation(folder, image_size=32):
    loaded = data.load(data_dir=str(folder), image_size=image_size)
    return loaded.splits["validation"]


@pytest.fixture
def extractor():
    keras.utils.set_random_seed(0)
    return _extractor()


def _extractor(scale=1 / 255):
    images = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(scale)(images)
    x = keras.layers.Conv2D(4, 3)(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def test_features_come_with_labels_ids_and_groups(split, extractor):
    found = features(extractor, split)
    assert found.values.shape == (40, 4)
    assert found.labels[:4].tolist() == [0, 1, 0, 1]
    assert found.ids[1] == found.groups[1] == "valid/fake/fake000.png"


def test_the_second_time_they_are_read_from_disk(split, extractor, cache):
    first = features(extractor, split)
    (stored,) = cache.iterdir()
    # A file that is written again is another one.
    written = stored.stat().st_ino
    second = features(extractor, split)
    np.testing.assert_array_equal(first.values, second.values)
    assert stored.stat().st_ino == written


def test_an_equal_network_built_again_finds_them(split, extractor, cache):
    again = _extractor()
    again.set_weights(extractor.get_weights())
    again.trainable = False
    features(extractor, split)
    features(again, split)
    assert len(list(cache.iterdir())) == 1


def test_other_weights_ask_for_other_features(split, extractor, cache):
    first = features(extractor, split)
    extractor.set_weights([2 * w for w in extractor.get_weights()])
    second = features(extractor, split)
    assert len(list(cache.iterdir())) == 2
    assert not np.allclose(first.values, second.values)


def test_another_structure_asks_for_other_features(split, extractor, cache):
    other = _extractor(scale=1 / 128)
    other.set_weights(extractor.get_weights())
    features(extractor, split)
    features(other, split)
    assert len(list(cache.iterdir())) == 2


@pytest.fixture
def own_faces(faces_dir, tmp_path):
    """Images of the test's own, which it can change."""
    return shutil.copytree(faces_dir, tmp_path / "faces")


def test_a_changed_image_asks_for_other_features(own_faces, extractor, cache):
    features(extractor, _validation(own_faces))
    shutil.copyfile(
        own_faces / "valid/fake/fake001.png",
        own_faces / "valid/real/real001.png",
    )
    features(extractor, _validation(own_faces))
    assert len(list(cache.iterdir())) == 2


def test_an_interrupted_computation_leaves_nothing(own_faces, extractor, cache):
    (own_faces / "valid/real/real019.png").write_bytes(b"no picture")
    with pytest.raises(Exception, match=r"real019\.png"):
        features(extractor, _validation(own_faces))
    assert not cache.exists()
