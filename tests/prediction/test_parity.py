"""One file, one score, whichever road it takes."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tiny import build_tiny, make_images, save_run

from dfk import models
from dfk.errors import UserError
from dfk.images.decode import decode
from dfk.models.combination import Part, combine, detector_part
from dfk.models.from_sklearn import to_keras
from dfk.prediction import detector
from dfk.serving.client import Client
from dfk.serving.export import export
from dfk.serving.server import serving

IMAGE_SIZE = 64


def build(name):
    if name == "tiny":
        return build_tiny()
    if name == "combination":
        return build_combination()
    keras.utils.set_random_seed(2)
    detector = models.build(name, image_size=IMAGE_SIZE, weights="none")
    models.score_layer(detector).calibration = models.Calibration(
        temperature=10.0, real_up_to=0.6, fake_down_to=0.3
    )
    return detector


def build_combination():
    """A support vector machine on a detector's features, and a detector."""
    extractor = models.embedder(build_tiny(2))
    features = extractor(pixels_of(make_images(12), extractor)).numpy()
    machine = make_pipeline(StandardScaler(), SVC()).fit(features, [0, 1] * 6)
    parts = [
        Part("svm", extractor, to_keras(machine, "svm")),
        detector_part("tiny", build_tiny()),
    ]
    return combine(parts, [1.0, 20.0], 0.1, "combination")


def pixels_of(images, detector):
    size = detector.input_shape[1]
    return np.stack([decode(image, size) for image in images])


def over_grpc(config, saved_models, name, images):
    with (
        serving(config, saved_models, port=0) as server,
        Client(f"localhost:{server.port}", name) as client,
    ):
        return client.predict(images)


@pytest.mark.parametrize("name", ["tiny", "combination", *models.names()])
def test_every_road_gives_the_same_score(name, tmp_path):
    detector = build(name)
    images = make_images(3)
    pixels = pixels_of(images, detector).astype(np.float32)
    expected = detector(pixels, training=False).numpy()[:, 0]
    # Saturated scores would agree whatever the road.
    assert np.all((expected > 0.02) & (expected < 0.98))

    save_run(detector, tmp_path / "run")
    config = tmp_path / "models.config"
    saved = export(tmp_path / "run", tmp_path / "saved", config=config)
    batch = tf.constant(images)
    signature = tf.saved_model.load(str(saved)).signatures["serving_default"]
    layer = keras.layers.TFSMLayer(str(saved), call_endpoint="serving_default")
    served = over_grpc(config, tmp_path / "saved", name, images)
    roads = {
        ".keras": models.load(saved / "model.keras")(pixels)[:, 0],
        "SavedModel": signature(image_bytes=batch)["fake_probability"],
        "TFSMLayer": layer(batch)["fake_probability"],
        "gRPC": [answer.fake_probability for answer in served],
    }
    for road, scores in roads.items():
        np.testing.assert_allclose(scores, expected, atol=1e-5, err_msg=road)


def test_predict_gives_the_same_answers_from_every_kind_of_file(
    place, run, images
):
    served = over_grpc(
        place / "models.config", place / "saved_models", "tiny", images
    )
    saved = place / "saved_models/tiny"
    for path in (run, run / "model.keras", saved, saved / "1"):
        answers = detector.load(path).predict(images)
        assert [a.verdict for a in answers] == [a.verdict for a in served]
        np.testing.assert_allclose(
            [a.fake_probability for a in answers],
            [a.fake_probability for a in served],
            atol=1e-5,
        )


def test_predict_takes_the_highest_version(place):
    saved = place / "saved_models/tiny"
    (saved / "2").mkdir()
    (saved / "11").mkdir()
    shutil.copytree(saved / "1", saved / "10")
    assert detector.load(saved).version == 10
    assert detector.load(saved).model == "tiny"
    assert detector.load(saved / "1").version == 1


@pytest.mark.parametrize("what", ["missing", "empty", "spoilt"])
def test_predict_says_what_is_no_detector(tmp_path, what):
    path = tmp_path / what
    if what != "missing":
        path.mkdir()
    if what == "spoilt":
        (path / "saved_model.pb").write_bytes(b"not a graph")
    with pytest.raises(UserError, match=str(path)):
        detector.load(path)
