"""Every registered detector passes through the same steps."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import assert_any_server_can_load, encode

import dfk
from dfk import models
from dfk.errors import UserError
from dfk.models.head import assemble
from dfk.models.weights import backbone_layers
from dfk.prediction.signatures import signatures
from dfk.runs import Run

SIZE = 64
CALIBRATION = models.Calibration(
    10.0, 0.5, 0.75, 0.25, 0.1, (1.0,) * 5 + (0.75, 0.5), (9, 8)
)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(
        0, 256, (2, SIZE, SIZE, 3), "uint8"
    )


# Large networks of Keras Applications and keras-cv, of which little is our own
# code.
LARGE = ("efficientnet", "efficientnet_lite", "resnet")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.slow if name in LARGE else ())
        for name in models.names()
    ],
)
def built(request):
    keras.utils.set_random_seed(0)
    detector = models.build(request.param, image_size=SIZE, weights="none")
    models.score_layer(detector).calibration = CALIBRATION
    return detector


@pytest.fixture(scope="module")
def gradients(built, pixels):
    """What a training step computes before it changes the weights."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(built(pixels.astype("float32"), training=True))
    return tape.gradient(loss, built.trainable_variables)


@pytest.fixture(scope="module")
def detector(built, gradients):
    """The detector after one step of training."""
    keras.optimizers.SGD(1e-3).apply(gradients, built.trainable_variables)
    return built


@pytest.fixture(scope="module")
def scores(detector, pixels):
    return detector(pixels.astype("float32")).numpy()


@pytest.fixture(scope="module")
def file(detector, tmp_path_factory):
    file = tmp_path_factory.mktemp(detector.name) / "model.keras"
    detector.save(file)
    return file


@pytest.fixture(scope="module")
def reloaded(file):
    return models.load(file)


def test_every_weighted_layer_belongs_to_one_stage(built):
    stages = models.get(built.name).stages
    for layer in backbone_layers(built):
        owners = [
            s for s, names in stages.items() if layer.name.startswith(names)
        ]
        assert len(owners) == 1, layer.name


def test_every_weight_gets_a_gradient(built, gradients):
    # What `clip` has for its embedding alone decides no score.
    unseen = ("block11_", "block12_", "last_norm", "projection")
    without = {
        variable.path.split("/")[0]
        for variable, gradient in zip(
            built.trainable_variables, gradients, strict=True
        )
        if gradient is None
    }
    assert all(layer.startswith(unseen) for layer in without), without
    assert not without or built.name == "clip"


def test_scores_are_probabilities_of_each_image(scores):
    assert scores.shape == (2, 1)
    # Saturated scores would hide a difference in what follows.
    assert ((scores > 0.01) & (scores < 0.99)).all()
    assert scores[0] != scores[1]


def test_scoring_changes_nothing_whatever_the_type_of_pixels(
    detector, pixels, scores
):
    before = detector.get_weights()
    np.testing.assert_allclose(detector(pixels), scores, atol=1e-6)
    for ours, theirs in zip(detector.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_reloaded_detector_keeps_its_calibration(reloaded):
    assert models.score_layer(reloaded).calibration == CALIBRATION


@pytest.fixture(scope="module")
def serving_default(reloaded):
    return signatures(reloaded)["serving_default"]


def test_what_is_exported_scores_files_as_the_detector_did(
    serving_default, pixels, scores
):
    images = tf.constant([encode(image) for image in pixels])
    answer = serving_default(image_bytes=images)
    np.testing.assert_allclose(
        answer["fake_probability"], scores[:, 0], atol=1e-5
    )


def test_what_is_exported_has_only_core_operations(serving_default):
    graph = serving_default.get_concrete_function().graph
    assert_any_server_can_load(graph.as_graph_def())


# It builds every backbone once more.
@pytest.mark.slow
def test_weights_travel_from_one_keras_file_to_another(detector, file):
    other = models.build(detector.name, SIZE, weights=str(file))
    _assert_same_backbone(other, detector)


def _assert_same_backbone(ours, theirs):
    for layer, other in zip(
        backbone_layers(ours), backbone_layers(theirs), strict=True
    ):
        for a, b in zip(layer.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory):
    """The file of a small detector."""
    file = tmp_path_factory.mktemp("cnn") / "cnn.keras"
    models.build("cnn", 32, "none").save(file)
    return file


def test_a_detector_begins_with_the_weights_of_another(cnn):
    other = models.build("cnn", 48, weights=str(cnn))
    _assert_same_backbone(other, models.load(cnn))


@pytest.mark.parametrize(("size", "seen"), [(16, 32), (32, 32), (48, 48)])
def test_small_images_are_enlarged_inside(size, seen):
    sizes = []
    assemble("tiny", size, lambda x: sizes.append(x.shape[1]) or [x], 32)
    assert sizes == [seen]


def test_unknown_name_is_answered_with_the_closest():
    with pytest.raises(UserError, match="did you mean 'resnet'"):
        models.build("resnt")


def test_unknown_weights_name_what_is_known():
    with pytest.raises(UserError, match="default, none"):
        models.build("cnn", weights="imagnet")


def test_weights_of_another_architecture_are_refused(cnn):
    with pytest.raises(UserError, match="does not fit forensic: it lacks"):
        models.build("forensic", 32, weights=str(cnn))


def test_a_path_may_start_at_home(cnn, monkeypatch):
    monkeypatch.setenv("HOME", str(cnn.parent))
    assert models.load("~/cnn.keras").name == "cnn"
    assert Run("~/runs/mine").path == cnn.parent / "runs/mine"


@pytest.mark.parametrize("use", [models.load, models.build])
def test_another_programs_model_is_refused(use, tmp_path):
    file = tmp_path / "foreign.keras"
    keras.Sequential([keras.Input([4]), keras.layers.Dense(1)]).save(file)
    arguments = (file,) if use is models.load else ("cnn", 64, str(file))
    with pytest.raises(UserError, match=r"is not a detector .*No such layer"):
        use(*arguments)


@pytest.mark.parametrize("content", [b"no model", b"PK\5\6" + bytes(18)])
def test_a_file_that_is_no_model_is_refused(content, tmp_path):
    file = tmp_path / "model.keras"
    file.write_bytes(content)
    with pytest.raises(UserError, match="is not a detector"):
        models.load(file)


@pytest.fixture
def other_format(tmp_path):
    """Makes the archive of a detector of another dfk, by its layers."""

    def make(*layers):
        config = {
            "class_name": "Functional",
            "config": {
                "name": "facenet",
                "layers": [
                    {"registered_name": f"dfk>{name}", "config": config}
                    for name, config in layers
                ],
            },
        }
        file = tmp_path / "model.keras"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
        return file

    return make


def test_a_detector_of_the_first_format_is_refused(other_format):
    file = other_format(
        ("BothViews", {}), ("NoveltyGauge", {}), ("CalibratedScore", {})
    )
    with pytest.raises(UserError, match=r"format 1, .*: train or export again"):
        models.load(file.parent)


def test_a_detector_of_a_later_format_is_refused(other_format):
    number = dfk.FORMAT + 1
    file = other_format(("CalibratedScore", {"format": number}))
    with pytest.raises(UserError, match=f"by another .*, format {number}, "):
        models.load(file)
