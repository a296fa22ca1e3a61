"""Whole runs of the small detector on small files."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from dfk import data, models
from dfk.errors import UserError
from dfk.runs import Run
from dfk.training.blends import SelfBlends
from dfk.training.config import Config
from dfk.training.experiment import train
from dfk.training.validation import Validation, quality


@pytest.fixture(scope="module")
def config(faces_dir):
    return Config(
        "cnn", data_dir=str(faces_dir), image_size=40, epochs=3, batch_size=16
    )


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """A run that nothing disturbed."""
    return train(config, str(tmp_path_factory.mktemp("runs") / "whole"))


def _weights(run):
    return models.load(run.path).get_weights()


def _splits(config):
    return data.load(
        data_dir=config.data_dir, image_size=config.image_size
    ).splits


def _best_auc(run):
    epochs = json.loads(run.results_path.read_text())["training"]["epochs"]
    return max(epoch["val_auc"] for epoch in epochs)


def _validation_auc(run):
    return run.results["training"]["validation"]["val_auc"]


def test_a_run_is_a_folder(run):
    assert run.config["model"] == "cnn"
    assert run.config["weights"] == "none"
    assert list(run.logs.glob("events*"))
    results = json.loads(run.results_path.read_text())
    assert [e["epoch"] for e in results["training"]["epochs"]] == [0, 1, 2, 3]
    assert models.load(run.path).input_shape == (None, 40, 40, 3)


def test_the_detector_carries_what_validation_fitted(run):
    detector = models.load(run.path)
    fitted = models.score_layer(detector).calibration
    assert fitted.temperature != 1
    assert fitted.images == (20, 20)
    # 40 pictures promise no novelty limit of 1 %, but the rest is fitted.
    gauge = models.novelty_gauge(detector)
    assert gauge.limit.numpy() == np.inf
    assert gauge.directions.numpy().any()


def test_a_finished_run_is_left_as_it_is(run, config, capsys):
    before = run.model_path.stat().st_mtime_ns
    # However the folder of pictures is spelled.
    for named in (
        {"data_dir": f"{config.data_dir}/."},
        {"data_dir": None, "dataset": config.data_dir},
    ):
        train(dataclasses.replace(config, **named), str(run.path))
    assert "finished already" in capsys.readouterr().out
    assert run.model_path.stat().st_mtime_ns == before


def test_other_settings_do_not_mix_into_a_run(run, config):
    with pytest.raises(UserError, match="seed 0, not 1"):
        train(dataclasses.replace(config, seed=1), str(run.path))


def test_a_killed_run_ends_as_an_undisturbed_one(run, config, tmp_path):
    killed = Run(tmp_path / "killed")
    command = [sys.executable, "-m", "dfk.train", f"--workdir={killed.path}"]
    command += [
        f"--{name}={value}"
        for name, value in dataclasses.asdict(config).items()
        if value is not None
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _wait_for_epoch(killed, 1, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not killed.model_path.exists()
    history = killed.checkpoints / "history.json"
    epochs = json.loads(history.read_text())["epochs"]
    epochs[0]["seconds"] = 1000.0
    history.write_text(json.dumps({"epochs": epochs}))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert killed.results["training"]["seconds"] > 1000
    for ours, theirs in zip(_weights(killed), _weights(run), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def _wait_for_epoch(run, epoch, process):
    for _ in range(1200):
        assert process.poll() is None, "the run ended before it was killed"
        history = run.checkpoints / "history.json"
        if (
            history.exists()
            and json.loads(history.read_text())["epochs"][epoch:]
        ):
            return
        time.sleep(0.05)
    raise AssertionError("no epoch ended within a minute")


def test_pretrained_weights_get_their_head_from_frozen_features(
    run, config, tmp_path
):
    transfer = dataclasses.replace(
        config, weights=str(run.model_path), unfreeze="none"
    )
    again = train(transfer, str(tmp_path / "transfer"))
    before, after = models.load(run.path), models.load(again.path)
    for layer in ("stem_conv", "stem_bn", "stage4_b_conv"):
        for ours, theirs in zip(
            after.get_layer(layer).get_weights(),
            before.get_layer(layer).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
    # Solved exactly, the head makes more of features than a few steps did.
    assert _best_auc(again) > _best_auc(run)
    assert _validation_auc(again) == _best_auc(again)


def test_a_detector_from_scratch_ends_with_a_regression(run):
    assert _validation_auc(run) > _best_auc(run)
    # As on frozen features, they are standardised in front of it.
    mean, _ = models.load(run.path).get_layer("features_norm").get_weights()
    assert np.any(mean != 0)


def test_a_regression_that_validation_finds_no_better_is_not_used(
    run, config, tmp_path, monkeypatch
):
    def fit_badly(model, training, strategy):
        layer = model.get_layer("logit")
        layer.set_weights([-weight for weight in layer.get_weights()])
        return {"penalty": 1.0, "features": 512}

    monkeypatch.setattr("dfk.training.experiment.fit_head", fit_badly)
    kept = train(config, str(tmp_path / "kept"))
    assert _validation_auc(kept) == pytest.approx(_best_auc(run), abs=1e-6)


def test_self_blends_are_learnt_and_counted(run, config, tmp_path, faces_found):
    blended = dataclasses.replace(config, blend=1.0)
    training = train(blended, str(tmp_path / "blended")).results["training"]
    assert all(0 <= row["val_blend_auc"] <= 1 for row in training["epochs"])
    blends = SelfBlends(_splits(config)["validation"], share=1.0).split(seed=0)
    untaught = Validation(models.load(run.path), blends, tmp_path)()["val_auc"]
    assert training["validation"]["val_blend_auc"] > untaught


def test_a_head_is_fitted_to_self_blends(run, config, tmp_path, faces_found):
    frozen = dataclasses.replace(
        config, weights=str(run.model_path), unfreeze="none"
    )
    without = train(frozen, str(tmp_path / "without"))
    blended = dataclasses.replace(frozen, blend=1.0)
    taught = train(blended, str(tmp_path / "taught"))
    blends = SelfBlends(_splits(config)["train"], share=1.0).split(seed=0)
    aucs = [
        Validation(models.load(each.path), blends, tmp_path)()["val_auc"]
        for each in (taught, without)
    ]
    assert aucs[0] > aucs[1]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"val_auc": 0.9}, {"val_auc": 0.8}),
        (
            {"val_auc": 0.97, "val_blend_auc": 0.8},
            {"val_auc": 0.98, "val_blend_auc": 0.5},
        ),
        (
            {"val_auc": 0.98, "val_blend_auc": 0.5},
            {"val_auc": 0.6, "val_blend_auc": 0.8},
        ),
    ],
)
def test_what_is_learnt_of_self_blends_counts_as_well(better, worse):
    assert quality(better) > quality(worse)


def test_two_pictures_are_enough_for_a_head(run, config, tmp_path):
    # Too few for cross-validation.
    few = dataclasses.replace(
        config, weights=str(run.model_path), unfreeze="none", limit=2
    )
    assert train(few, str(tmp_path / "few")).model_path.is_file()


def test_only_the_stages_asked_for_are_trained(run, config, tmp_path):
    upper = dataclasses.replace(
        config, weights=str(run.model_path), unfreeze="stage4", epochs=1
    )
    train(upper, str(tmp_path / "upper"))
    tuned = models.build("cnn", 40, str(run.model_path))
    from dfk.training import recipes

    recipes.unfreeze(tuned, models.get("cnn"), "stage4")
    recipes.freeze_statistics(tuned)
    trainable = {layer.name for layer in tuned.layers if layer.trainable}
    assert "stage4_a_conv" in trainable
    assert "stage3_a_conv" not in trainable
    assert "stage4_a_bn" not in trainable


def test_several_steps_make_one_update(config, tmp_path):
    def kernels(accumulate):
        """The averaged kernels after the six steps of an epoch."""
        several = dataclasses.replace(
            config, batch_size=8, epochs=1, accumulate=accumulate
        )
        run = train(several, str(tmp_path / str(accumulate)))
        reader = tf.train.load_checkpoint(str(run.checkpoints))
        shapes = reader.get_variable_to_shape_map()
        return {
            name: reader.get_tensor(name)
            for name, shape in shapes.items()
            if name.startswith("averages/") and len(shape) == 4
        }

    updated, one_short, many_short = map(kernels, (2, 7, 100))
    assert one_short
    for name, weights in one_short.items():
        np.testing.assert_array_equal(weights, many_short[name])
        assert (weights != updated[name]).any()


def test_what_was_trained_in_half_precision_answers_in_full(config, tmp_path):
    half = dataclasses.replace(config, precision="mixed_bfloat16", epochs=1)
    detector = models.load(train(half, str(tmp_path / "half")).path)
    assert {layer.compute_dtype for layer in detector.layers} == {"float32"}
    assert models.score_layer(detector).calibration.images == (20, 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": "fast"}, "--strategy=fast is unknown"),
        ({"strategy": "multi_worker"}, "needs the environment variable"),
        ({"precision": "int8"}, "--precision=int8 is unknown"),
        ({"model": "cnm"}, "did you mean 'cnn'"),
        ({"unfreeze": "block9", "weights": "x.keras"}, "is no stage of cnn"),
        ({"weights": "nowhere.h5"}, "no file has that path"),
        ({"data_dir": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    config, tmp_path, change, message
):
    with pytest.raises(UserError, match=message):
        train(dataclasses.replace(config, **change), str(tmp_path / "run"))


@pytest.mark.parametrize("name", ["real/real003.png", "fake/fake023.png"])
def test_a_broken_picture_is_named(config, tmp_path, name):
    shutil.copytree(config.data_dir, tmp_path / "faces")
    (tmp_path / "faces/train" / name).write_bytes(b"no picture")
    broken = dataclasses.replace(config, data_dir=str(tmp_path / "faces"))
    with pytest.raises(UserError, match=name):
        train(broken, str(tmp_path / "run"))


def test_the_same_command_goes_on_with_the_unfinished_run(
    config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    short = dataclasses.replace(config, epochs=1)
    first = train(short)
    os.remove(first.model_path)
    assert train(short).path == first.path
    assert train(dataclasses.replace(short, seed=5)).path != first.path
