"""The whole of `--classify`, with networks small enough for a test."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.base import clone

import dfk
from dfk import models
from dfk.data import load
from dfk.embedding import candidates
from dfk.embedding import classify as classify_module
from dfk.embedding.classify import classify
from dfk.errors import UserError
from dfk.evaluation.measure import evaluate
from dfk.models.head import assemble
from dfk.serving.export import export
from dfk.training import stacking

SIZE = 32


def tiny(name, seed):
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Conv2D(4, 3, activation="relu", name="conv")
    rescale = keras.layers.Rescaling(1 / 255)
    return assemble(name, SIZE, lambda images: [layer(rescale(images))])


def save_run(folder, detector):
    folder.mkdir(parents=True)
    config = {"model": detector.name, "dataset": None, "data_dir": None}
    config["format"] = dfk.FORMAT
    (folder / "config.json").write_text(json.dumps(config))
    detector.save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("classify")


@pytest.fixture(scope="module")
def runs(place):
    return [save_run(place / f"run{n}", tiny("tiny", n)) for n in (1, 2)]


@pytest.fixture(scope="module", autouse=True)
def small_networks(place):
    """Stands tiny networks in for FaceNet, and keeps features apart."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DFK_CACHE", str(place / "cache"))
    # Fewer trees and folds, which are only a matter of time here.
    boosting = candidates.KINDS["boosting"]
    few = clone(boosting.estimator).set_params(n_estimators=20)
    patch.setitem(
        candidates.KINDS,
        "boosting",
        dataclasses.replace(boosting, estimator=few),
    )
    patch.setattr(stacking, "REPEATS", 1)
    patch.setattr(
        classify_module,
        "_networks",
        lambda model, size: {
            "embedding": models.embedder(tiny("small", 3)),
            f"{model} stages": models.embedder(tiny("small", 4)),
        },
    )
    yield
    patch.undo()


@pytest.fixture(scope="module")
def outcome(faces_dir, place, runs):
    return classify(str(faces_dir), "facenet", runs, place / "winner")


def test_every_kind_on_both_features_and_every_run_is_compared(outcome, runs):
    _, record = outcome
    names = [row["name"] for row in record["detectors"]]
    assert len(names) == 2 * len(candidates.KINDS) + len(runs)
    assert names[-2:] == [str(run) for run in runs]
    for row in [*record["detectors"], record["combination"]]:
        assert row["test"]["roc_auc"]["low"] <= row["test"]["roc_auc"]["high"]


def test_the_table_says_by_how_much_the_combination_helps(outcome):
    _, record = outcome
    together = record["combination"]["test"]["roc_auc"]["value"]
    for row in record["detectors"]:
        gain = row["test"]["gain_roc_auc"]["value"]
        alone = row["test"]["roc_auc"]["value"]
        assert gain == pytest.approx(together - alone)


def test_the_winner_is_a_run_that_is_evaluated_with_the_same_numbers(outcome):
    run, record = outcome
    measured = evaluate(run.path)["metrics"]["roc_auc"]["value"]
    rows = {row["name"]: row for row in record["detectors"]}
    chosen = record["chosen"]
    winner = rows[chosen[0]] if len(chosen) == 1 else record["combination"]
    expected = winner["test"]["roc_auc"]["value"]
    assert measured == pytest.approx(expected, abs=0.005)


def test_the_winner_is_exported_as_one_graph(outcome, faces_dir, place):
    run, _ = outcome
    saved = export(run.path, place / "saved", config=place / "models.config")
    signatures = tf.saved_model.load(str(saved)).signatures
    files = sorted((faces_dir / "test").rglob("*.png"))[::8]
    images = tf.constant([file.read_bytes() for file in files])
    answers = signatures["serving_default"](image_bytes=images)
    detector = models.load(run.path)
    examples = load(data_dir=str(faces_dir), image_size=SIZE, splits=["test"])
    by_name = {
        row["id"].decode(): row["image"]
        for row in examples.splits["test"].examples.as_numpy_iterator()
    }
    images = np.float32(
        [by_name[f.relative_to(faces_dir).as_posix()] for f in files]
    )
    np.testing.assert_allclose(
        answers["fake_probability"], detector(images)[:, 0], atol=1e-5
    )
    vectors = signatures["embed"](image_bytes=images)["embedding"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_folder_that_holds_a_run_is_left_alone(outcome, faces_dir):
    run, _ = outcome
    with pytest.raises(UserError, match="holds a run already"):
        classify(str(faces_dir), workdir=run.path)


def test_an_unfinished_run_of_another_kind_is_left_alone(faces_dir, tmp_path):
    (tmp_path / "config.json").write_text('{"model": "cnn"}')
    with pytest.raises(UserError, match="holds a run already"):
        classify(str(faces_dir), workdir=tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model"] == "cnn"


def test_what_is_broken_off_leaves_no_run_behind(
    faces_dir, runs, tmp_path, monkeypatch
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(classify_module, "_ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        classify(str(faces_dir), runs=runs, workdir=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_few_images_are_enough(write_faces, runs, tmp_path):
    faces, run = tmp_path / "faces", tmp_path / "run"
    write_faces(faces, {"train": 3, "valid": 3, "test": 3})
    classify(str(faces), runs=runs, workdir=run)
    assert models.load(run).input_shape == (None, SIZE, SIZE, 3)


def test_only_the_first_images_are_taken(faces_dir, runs, tmp_path):
    run, record = classify(str(faces_dir), runs=runs, workdir=tmp_path, limit=8)
    assert json.loads(run.config_path.read_text())["limit"] == 8
    assert record["test_images"] == 8


def test_too_few_images_are_answered_with_a_sentence(
    write_faces, runs, tmp_path
):
    faces, run = tmp_path / "faces", tmp_path / "run"
    write_faces(faces, {"train": 2, "valid": 3, "test": 3})
    with pytest.raises(UserError, match=r"at least 3 groups.*Received: 2"):
        classify(str(faces), runs=runs, workdir=run)


def test_detectors_of_different_sizes_are_refused(place, runs, faces_dir):
    other = assemble("other", 48, lambda images: [images])
    odd = save_run(place / "odd", other)
    with pytest.raises(UserError, match="one image size"):
        classify(str(faces_dir), runs=[runs[0], odd], workdir=place / "none")
