import keras
import numpy as np
import pytest
from tiny import SIZE, build_tiny, save_run

from dfk import models
from dfk.errors import UserError
from dfk.models import facenet
from dfk.models.extractors import extractor


def noise(count, size):
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (count, size, size, 3)).astype("float32")


@pytest.fixture
def recognizer(tmp_path, monkeypatch):
    """A small network in FaceNet's place, with its weights in such a file."""

    def build():
        images = keras.Input((facenet.NATIVE_SIZE, facenet.NATIVE_SIZE, 3))
        x = keras.layers.Conv2D(4, 9, strides=8, name="conv")(images)
        x = keras.layers.GlobalMaxPooling2D()(x)
        x = keras.layers.Dense(128, name="bottleneck")(x)
        return keras.Model(images, facenet.UnitLength()(x))

    network = build()
    network.save(tmp_path / "facenet.h5")
    monkeypatch.setattr(facenet, "recognizer", build)
    monkeypatch.setattr(facenet, "ms_celeb_1m", lambda: tmp_path / "facenet.h5")
    return network


def test_facenet_is_its_recognizer_averaged_over_flips(recognizer):
    images = noise(2, facenet.NATIVE_SIZE)
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    standard = (images - mean) / images.std(axis=(1, 2, 3), keepdims=True)
    both = recognizer(standard) + recognizer(standard[:, :, ::-1])
    both = both / np.linalg.norm(both, axis=1, keepdims=True)
    made = extractor("facenet")(images)
    np.testing.assert_allclose(made, both, atol=1e-5)


@pytest.fixture(scope="module")
def detector():
    return build_tiny()


@pytest.fixture(scope="module")
def run(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    save_run(detector, folder)
    return folder


def test_a_run_has_the_direction_of_its_own_features(detector, run):
    images = noise(3, SIZE)
    features = models.embedder(detector)(images).numpy()
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    made = extractor(str(run))(images)
    np.testing.assert_allclose(made, features / lengths, atol=1e-6)


def test_a_run_of_another_size_is_refused(run):
    with pytest.raises(UserError, match="takes pictures of 32 pixels"):
        extractor(str(run), image_size=64)


def test_an_unknown_name_is_answered_with_the_closest():
    with pytest.raises(UserError, match="did you mean 'facenet'"):
        extractor("facenett")


def test_a_missing_run_is_answered_as_a_path():
    with pytest.raises(UserError, match="No detector at runs/missing"):
        extractor("runs/missing")


def test_random_weights_are_never_used():
    with pytest.raises(UserError, match="cnn has no pretrained weights"):
        extractor("cnn")
