"""The whole of `--classify`, with networks small enough for a test."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from dfk import data, models
from dfk.embedding import classify as classify_module
from dfk.embedding.classify import KINDS, classify
from dfk.errors import UserError
from dfk.evaluation.measure import score_split
from dfk.evaluation.metrics import measure
from dfk.models.head import assemble

SIZE = 32


def tiny(name, seed):
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Conv2D(4, 3, activation="relu", name="conv")
    rescale = keras.layers.Rescaling(1 / 255)
    return assemble(name, SIZE, lambda images: [layer(rescale(images))])


@pytest.fixture(scope="module", autouse=True)
def small_networks():
    """Stands tiny networks in for FaceNet, and makes the fits quicker."""
    networks = {
        "embedding": models.embedder(tiny("small", 3)),
        "facenet stages": models.embedder(tiny("small", 4)),
    }
    few = clone(KINDS["boosting"].estimator).set_params(n_estimators=20)
    boosting = dataclasses.replace(KINDS["boosting"], estimator=few)
    # Threads that wait for each other would cost most of the time.
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(classify_module, "_networks", lambda *_: networks)
        patch.setitem(KINDS, "boosting", boosting)
        yield


@pytest.fixture(scope="module")
def outcome(faces_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("classify") / "best"
    return classify(str(faces_dir), workdir=workdir, image_size=SIZE)


def test_every_kind_is_compared_on_both_features(outcome):
    _, record = outcome
    names = {row["name"] for row in record["classifiers"]}
    assert len(names) == 2 * len(KINDS)
    best = min(
        record["classifiers"], key=lambda row: row["validation"]["log_loss"]
    )
    assert record["chosen"] == best["name"]


def test_the_best_is_a_run_whose_detector_has_the_same_numbers(outcome):
    run, record = outcome
    faces = data.load(
        *(run.config[name] for name in ("dataset", "data_dir", "image_size")),
        splits=["test"],
    )
    scores = score_split(models.load(run.path), faces.splits["test"])
    measured = measure(scores.labels, scores.probabilities)
    rows = {row["name"]: row for row in record["classifiers"]}
    for name, value in rows[record["chosen"]]["test"].items():
        # An image at the threshold may fall to either side of it.
        assert measured[name] == pytest.approx(value, abs=0.03), name


def test_the_best_is_calibrated_and_knows_unusual_images(outcome):
    run, _ = outcome
    detector = models.load(run.path)
    assert models.score_layer(detector).calibration.images == (20, 20)
    features = models.embedder(detector)(np.zeros((1, SIZE, SIZE, 3)))
    assert models.ood_layer(detector).distance(features)[0] > 0


def test_a_folder_that_holds_a_run_is_left_alone(outcome, faces_dir):
    run, _ = outcome
    with pytest.raises(UserError, match="holds a run already"):
        classify(str(faces_dir), workdir=run.path, image_size=SIZE)


def test_an_unfinished_run_of_another_kind_is_left_alone(faces_dir, tmp_path):
    (tmp_path / "config.json").write_text('{"model": "cnn"}')
    with pytest.raises(UserError, match="holds a run already"):
        classify(str(faces_dir), workdir=tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model"] == "cnn"


def test_what_is_interrupted_leaves_no_run_behind(
    faces_dir, tmp_path, monkeypatch
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(classify_module, "features", interrupted)
    with pytest.raises(KeyboardInterrupt):
        classify(str(faces_dir), workdir=tmp_path / "run", image_size=SIZE)
    assert not list(tmp_path.iterdir())


def test_the_first_few_images_are_enough(faces_dir, tmp_path, monkeypatch):
    one = {"neighbors": KINDS["neighbors"]}
    monkeypatch.setattr(classify_module, "KINDS", one)
    run, record = classify(
        str(faces_dir), workdir=tmp_path, limit=6, image_size=SIZE
    )
    assert run.config["limit"] == 6
    assert record["test_images"] == 6
    assert models.load(run.path).input_shape == (None, SIZE, SIZE, 3)


def test_too_few_images_are_answered_with_a_sentence(write_faces, tmp_path):
    faces = tmp_path / "faces"
    write_faces(faces, {"train": 2, "valid": 3, "test": 3})
    with pytest.raises(UserError, match=r"at least 3 groups.*Received: 2"):
        classify(str(faces), workdir=tmp_path / "run", image_size=SIZE)
