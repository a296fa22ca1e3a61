"""One image, one score, whichever path its bytes take."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tiny import build_tiny, make_images, save_run

import dfk
from dfk import models
from dfk.errors import UserError
from dfk.images.decode import decode
from dfk.models.combination import Part, combine, detector_part
from dfk.models.from_sklearn import to_keras
from dfk.serving.export import export
from dfk.serving.server import serving

IMAGE_SIZE = 64


def build(name):
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


def export_to(place, detector):
    save_run(detector, place / "run")
    export(
        place / "run", place / "saved_models", config=place / "models.config"
    )


def assert_one_score(detector, place, paths=None):
    """Sends images along paths of an exported detector."""
    images = make_images(3)
    pixels = pixels_of(images, detector).astype(np.float32)
    expected = detector(pixels, training=False).numpy()[:, 0]
    # Saturated scores would agree whatever the path.
    assert np.all((expected > 0.02) & (expected < 0.98))

    saved = place / "saved_models" / detector.name / "1"
    for path in paths or PATHS:
        found = PATHS[path](saved, images, pixels)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=path)


def _by_keras(saved, images, pixels):
    return models.load(saved / "model.keras")(pixels)[:, 0]


def _by_layer(saved, images, pixels):
    layer = keras.layers.TFSMLayer(str(saved), call_endpoint="serving_default")
    return layer(tf.constant(images))["fake_probability"]


def _by_saved_model(saved, images, pixels):
    return _probabilities(dfk.load(saved).score(images))


def _by_grpc(saved, images, pixels):
    saved_models = saved.parents[1]
    config = saved_models.parent / "models.config"
    with (
        serving(config, saved_models, port=0) as server,
        dfk.Client(f"localhost:{server.port}", saved.parent.name) as client,
    ):
        return _probabilities(client.score(images))


def _probabilities(scores):
    return [score.fake_probability for score in scores]


PATHS = {
    ".keras": _by_keras,
    "TFSMLayer": _by_layer,
    "SavedModel": _by_saved_model,
    "gRPC": _by_grpc,
}


def test_every_path_gives_the_same_score(detector, place):
    assert_one_score(detector, place)


@pytest.mark.slow
def test_every_path_gives_a_combination_the_same_score(tmp_path):
    detector = build_combination()
    export_to(tmp_path, detector)
    assert_one_score(detector, tmp_path)


# The server loads a SavedModel as TFSMLayer and dfk.load do. That .keras files
# keep every architecture's scores, tests/models/test_models.py shows.
@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_path_gives_each_architecture_the_same_score(name, tmp_path):
    detector = build(name)
    export_to(tmp_path, detector)
    assert_one_score(detector, tmp_path, ["gRPC"])


def test_a_run_and_its_export_give_the_same_predictions(place, run, images):
    from_run = dfk.load(run).score(images)
    exported = dfk.load(place / "saved_models/tiny").score(images)
    assert [s.verdict for s in exported] == [s.verdict for s in from_run]
    assert [s.reason for s in exported] == [s.reason for s in from_run]
    np.testing.assert_allclose(
        _probabilities(exported), _probabilities(from_run), atol=1e-5
    )


def test_the_highest_version_is_loaded(place):
    saved = place / "saved_models/tiny"
    (saved / "2").mkdir()
    (saved / "11").mkdir()
    shutil.copytree(saved / "1", saved / "10")
    loaded = dfk.load(saved)
    assert (loaded.name, loaded.version) == ("tiny", 10)
    # A SavedModel has no Keras model; a run has.
    assert loaded.detector is None
    assert dfk.load(saved / "1").version == 1


@pytest.mark.parametrize("what", ["missing", "empty", "spoilt"])
def test_what_is_no_detector_is_named(tmp_path, what):
    path = tmp_path / what
    if what != "missing":
        path.mkdir()
    if what == "spoilt":
        (path / "saved_model.pb").write_bytes(b"not a graph")
    with pytest.raises(UserError, match=str(path)):
        dfk.load(path)


@pytest.fixture
def exported(tmp_path):
    """A SavedModel's folder, of which only what lies beside it matters."""
    folder = tmp_path / "saved_models/tiny/3"
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"not a graph")
    return folder


def test_an_export_of_an_earlier_dfk_is_refused(exported):
    (exported / "MODEL_CARD.md").write_text("Made by dfk 0.1.")
    with pytest.raises(UserError, match=r"tiny/3 .* format 1.* export"):
        dfk.load(exported)


def test_an_export_of_a_later_dfk_is_refused(exported):
    (exported / "assets.extra/detector.json").write_text(
        json.dumps({"format": dfk.FORMAT + 1})
    )
    with pytest.raises(UserError, match=rf"dfk, format {dfk.FORMAT + 1}, "):
        dfk.load(exported.parent)


def test_another_programs_saved_model_is_refused(tmp_path):
    module = tf.Module()
    module.double = tf.function(
        lambda x: 2 * x, input_signature=[tf.TensorSpec([], tf.float32)]
    )
    tf.saved_model.save(module, tmp_path / "foreign")
    with pytest.raises(UserError, match="not a SavedModel that dfk exported"):
        dfk.load(tmp_path / "foreign")
