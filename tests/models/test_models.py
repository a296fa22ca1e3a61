"""Every registered detector passes through the same few tests."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dfk import models
from dfk.errors import UserError
from dfk.models.weights import backbone_layers
from dfk.runs import Run

SIZE = 64


@pytest.fixture(scope="module", params=models.names())
def detector(request):
    keras.utils.set_random_seed(0)
    return models.build(request.param, image_size=SIZE, weights="none")


@pytest.fixture(scope="module")
def images():
    return (
        np.random.default_rng(0)
        .uniform(0, 255, (3, SIZE, SIZE, 3))
        .astype("float32")
    )


def test_scores_are_probabilities(detector, images):
    scores = detector(images).numpy()
    assert scores.shape == (3, 1)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_whole_and_fractional_pixel_types_score_alike(detector, images):
    whole = images.astype("uint8")
    np.testing.assert_allclose(
        detector(whole), detector(whole.astype("float32")), atol=1e-6
    )


def test_scoring_changes_nothing(detector, images):
    before = detector.get_weights()
    np.testing.assert_allclose(detector(images), detector(images))
    for ours, theirs in zip(detector.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_weight_gets_a_gradient(detector, images):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(detector(images, training=True))
    gradients = tape.gradient(loss, detector.trainable_variables)
    assert all(gradient is not None for gradient in gradients)


def test_reloads_from_keras_file_in_safe_mode(detector, images, tmp_path):
    calibration = models.Calibration(
        2.0, 0.5, 0.75, 0.25, 0.1, (1.0, 0.75, 0.5), (9, 8)
    )
    models.score_layer(detector).calibration = calibration
    detector.save(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images), detector(images), atol=1e-6)
    assert models.score_layer(again).calibration == calibration


def test_every_weighted_layer_belongs_to_one_stage(detector):
    stages = models.get(detector.name).stages
    for layer in backbone_layers(detector):
        owners = [
            s for s, names in stages.items() if layer.name.startswith(names)
        ]
        assert len(owners) == 1, layer.name


def test_weights_travel_from_one_keras_file_to_another(detector, tmp_path):
    detector.save(tmp_path / "model.keras")
    other = models.build(
        detector.name, SIZE, weights=str(tmp_path / "model.keras")
    )
    for ours, theirs in zip(
        backbone_layers(other), backbone_layers(detector), strict=True
    ):
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("size", "enlarged"), [(128, True), (224, False)])
def test_small_images_are_enlarged_inside(size, enlarged):
    detector = models.build("facenet", size, "none")
    assert ("enlarge" in [layer.name for layer in detector.layers]) == enlarged


def test_unknown_name_is_answered_with_the_closest():
    with pytest.raises(UserError, match="did you mean 'resnet'"):
        models.build("resnt")


def test_unknown_weights_name_what_is_known():
    with pytest.raises(UserError, match="default, ms-celeb-1m, vggface2"):
        models.build("facenet", weights="imagnet")


def test_weights_of_another_architecture_are_refused(tmp_path):
    models.build("cnn", SIZE, "none").save(tmp_path / "cnn.keras")
    with pytest.raises(UserError, match="does not fit resnet: it lacks"):
        models.build("resnet", SIZE, weights=str(tmp_path / "cnn.keras"))


def test_a_path_may_start_at_home(detector, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    detector.save(tmp_path / "mine.keras")
    assert models.load("~/mine.keras").name == detector.name
    assert Run("~/runs/mine").path == tmp_path / "runs/mine"


@pytest.mark.parametrize("use", [models.load, models.build])
def test_another_programs_model_is_refused(use, tmp_path):
    file = tmp_path / "foreign.keras"
    keras.Sequential([keras.Input([4]), keras.layers.Dense(1)]).save(file)
    arguments = (file,) if use is models.load else ("cnn", 64, str(file))
    with pytest.raises(UserError, match=r"is not a detector .*No such layer"):
        use(*arguments)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    file = tmp_path / "model.keras"
    file.write_text("no model")
    with pytest.raises(UserError, match="is not a detector"):
        models.load(file)
