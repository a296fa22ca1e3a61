"""SavedModels that someone else made, or that are damaged."""

import json
import shutil

import keras
import pytest
import tensorflow as tf

import dfk
from dfk.errors import UserError

FOREIGN = "not a SavedModel that dfk exported"
STRINGS = tf.TensorSpec([None], tf.string, "image_bytes")


def answer(image_bytes):
    """What a detector answers, in its types and shapes."""
    count = tf.size(image_bytes)
    return {
        "fake_probability": tf.zeros([count]),
        "verdict": tf.fill([count], b"\xff"),
        "reason": tf.fill([count], ""),
    }


def save(folder, function=None, takes=STRINGS, name="serving_default"):
    """Saves a function, described as if dfk had exported it."""
    signatures = {}
    if function:
        signatures[name] = tf.function(function, input_signature=[takes])
    tf.saved_model.save(tf.Module(), folder, signatures)
    describe(folder, json.dumps({"format": dfk.FORMAT}))
    return folder


def describe(folder, text):
    (folder / "assets.extra").mkdir(exist_ok=True)
    (folder / "assets.extra/detector.json").write_text(text)


def test_what_answers_as_a_detector_is_one(tmp_path):
    (score,) = dfk.load(save(tmp_path / "1", answer)).score([b"x"])
    # No verdict of ours, but no traceback either.
    assert (score.fake_probability, score.verdict) == (0, "\ufffd")


@pytest.mark.parametrize(
    "change",
    [
        {"function": None},
        {"name": "predict"},
        {"takes": tf.TensorSpec([None], tf.string, "images")},
        {"takes": tf.TensorSpec([1], tf.string, "image_bytes")},
        {"takes": tf.TensorSpec([None], tf.float32, "image_bytes")},
        {"function": lambda image_bytes: {"score": image_bytes}},
        {"function": lambda x: answer(x) | {"verdict": tf.zeros([tf.size(x)])}},
        {"function": lambda x: answer(x) | {"reason": tf.constant("")}},
    ],
)
def test_other_inputs_and_outputs_are_refused(tmp_path, change):
    folder = save(tmp_path / "1", **{"function": answer} | change)
    with pytest.raises(UserError, match=FOREIGN):
        dfk.load(folder)


def test_fewer_answers_than_images_are_refused(tmp_path):
    def first(image_bytes):
        return {name: rows[:1] for name, rows in answer(image_bytes).items()}

    loaded = dfk.load(save(tmp_path / "1", first))
    assert len(loaded.score([b"x"])) == 1
    with pytest.raises(UserError, match="does not answer as a detector"):
        loaded.score([b"x", b"y"])


def test_what_keras_exports_is_refused(tmp_path):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    network.export(tmp_path / "1", verbose=False)
    (tmp_path / "1/model.keras").touch()
    with pytest.raises(UserError, match=FOREIGN):
        dfk.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"for'])
def test_a_damaged_description_is_named(tmp_path, text):
    (tmp_path / "saved_model.pb").touch()
    describe(tmp_path, text)
    with pytest.raises(UserError, match=r"detector\.json is .*: export"):
        dfk.load(tmp_path)


@pytest.fixture
def exported(place, tmp_path):
    return shutil.copytree(place / "saved_models/tiny/1", tmp_path / "1")


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/*.data*"])
def test_a_damaged_export_is_named(exported, file):
    (path,) = exported.glob(file)
    content = path.read_bytes()
    for damaged, what in (
        (content[: len(content) // 2], r"has \d+ bytes instead of \d+"),
        (b"", "has 0 bytes instead of "),
        (content[:-1] + bytes([content[-1] ^ 1]), "has another SHA-256"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"since .*{path.name} {what}"):
            dfk.load(exported)
    path.unlink()
    with pytest.raises(UserError, match=f"since .*{path.name} is absent"):
        dfk.load(exported)


def test_a_damaged_export_of_before_manifests_is_refused(exported):
    (exported / "assets.extra/manifest.json").unlink()
    (exported / "saved_model.pb").write_bytes(b"?")
    with pytest.raises(UserError, match=FOREIGN):
        dfk.load(exported)


def test_what_no_graph_needs_may_be_missing(exported):
    (exported / "model.keras").unlink()
    (exported / "MODEL_CARD.md").write_text("Edited.")
    (exported / "own.config").touch()
    assert dfk.load(exported).version == 1
