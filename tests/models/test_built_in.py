"""The detector that comes with dfk."""

import os

import numpy as np
import pytest
from tiny import save_run

import dfk
from dfk import models
from dfk.errors import UserError
from dfk.models import built_in
from dfk.models.extractors import extractor
from dfk.models.named_layers import HEAD
from dfk.runs import Run, finished

FAMILIES = ["gan", "swap"]


def trained(seed):
    """A detector of two families whose head is not that of any other."""
    detector = models.build("cnn", 40, "none", FAMILIES)
    rng = np.random.default_rng(seed)
    for name in HEAD:
        layer = detector.get_layer(name)
        layer.set_weights(
            [rng.uniform(0.1, 1, w.shape) for w in layer.get_weights()]
        )
    return detector


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A small detector in the place of the built-in one."""
    detector = trained(0)
    save_run(detector, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.write_config({"model": "cnn", "weights": "none", "unfreeze": "none"})
    card = built_in.write(run, detector, tmp_path / "default")
    card.write_text("A card.")
    monkeypatch.setattr(built_in, "FOLDER", tmp_path / "default")
    monkeypatch.chdir(tmp_path)
    return detector


def test_its_head_is_the_one_that_was_written(shipped):
    loaded = built_in.load()
    for name in HEAD:
        for ours, theirs in zip(
            loaded.get_layer(name).get_weights(),
            shipped.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
    assert loaded.get_layer("logit").families == FAMILIES
    assert built_in.card() == "A card."


def test_answers_carry_its_version(shipped):
    detector = dfk.load("default")
    (prediction,) = detector.predict(np.zeros([9, 9, 3], "uint8"), "none")
    assert prediction.detector == "default"
    assert prediction.version == dfk.__detector_version__


def test_it_is_a_run_like_others(shipped):
    path = built_in.as_run("default")
    assert str(path) == f"runs/default-{dfk.__detector_version__}"
    run = Run.finished(path)
    assert run.config["model"] == "cnn"
    before = os.stat(run.model_path)
    assert built_in.as_run("default") == path
    assert os.stat(run.model_path) == before
    assert built_in.as_run("runs/mine") == "runs/mine"
    # By which dfk.compare finds what dfk.evaluate wrote.
    assert [run.path for run in finished(["default"])] == [path]


def test_it_is_compared_once_it_was_evaluated(shipped):
    with pytest.raises(UserError, match=r"dfk\.evaluate default --data_dir"):
        finished(["default"])


def test_embeddings_can_be_its_own(shipped, monkeypatch):
    # The backbone's weights, which come with pip, are random here.
    monkeypatch.setattr(built_in, "load", lambda: shipped)
    images = np.random.default_rng(0).uniform(0, 255, (2, 40, 40, 3))
    features = models.embedder(shipped)(images).numpy()
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    made = extractor("default")(images)
    np.testing.assert_allclose(made, features / lengths, atol=1e-5)


def test_a_backbone_that_was_trained_cannot_come_with_pip(shipped, tmp_path):
    run = Run(tmp_path / "run")
    run.write_config({"model": "cnn", "unfreeze": "all"})
    with pytest.raises(UserError, match="--unfreeze=none"):
        built_in.write(run, shipped, tmp_path)


@pytest.mark.slow
def test_the_shipped_head_fits_its_backbone(monkeypatch):
    # The backbone's own weights need a download.
    monkeypatch.setitem(
        models.get("clip").weights, "openai", lambda model: None
    )
    detector = built_in.load()
    calibration = models.score_layer(detector).calibration
    assert calibration.real_up_to > 0
    assert min(calibration.images) > 1000
    files = list(built_in.FOLDER.iterdir())
    assert {file.name for file in files} == {
        "head.npz",
        "about.json",
        "card.md",
    }
    assert sum(len(file.read_bytes()) for file in files) < 8e6
    assert "CC BY-NC 4.0" in built_in.card()
