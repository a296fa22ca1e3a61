"""The head, the stages that are trained, and how their steps are made."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from trained import best_auc, validation_auc

from dfk import data, models
from dfk.models import head
from dfk.models.features import Features
from dfk.training import head_fit, strategies
from dfk.training.head_fit import KnownSource, Source, fit_head
from dfk.training.train import train

RECIPE = models.Recipe(
    unfreeze="none",
    epochs=1,
    patience=1,
    learning_rate=0.01,
    penalties=(0.1, 1.0),
)


@pytest.mark.parametrize("families", [("a",), ("a", "b")])
def test_least_squares_tell_what_is_linear(families):
    rng = np.random.default_rng(0)
    sources = []
    for number in range(len(families)):
        labels = np.arange(60) % 2
        values = rng.normal(size=(60, 1, 8)).astype("float16")
        values[:, 0, number] += 8 * labels
        names = np.arange(60).astype(str)
        features = Features(values, labels, names, names)
        sources.append(KnownSource(families[number], features))
    known = families if len(families) > 1 else ()
    model = head.alone(8, known)
    recipe = dataclasses.replace(RECIPE, ridge=0.1)
    fitted = head_fit.fit_to_features(model, sources, recipe)
    assert fitted["method"] == "ridge regression"
    for _, source, _ in sources:
        logits = models.logit_head(model)(source.mean).numpy()[:, 0]
        np.testing.assert_array_equal(logits > 0, source.labels == 1)
        assert np.abs(logits).mean() > 3


def test_pretrained_weights_get_their_head_from_frozen_features(
    run, config, tmp_path
):
    transfer = dataclasses.replace(
        config, weights=str(run.model_path), unfreeze="none"
    )
    again = train(transfer, str(tmp_path / "transfer"))
    before, after = models.load(run.path), models.load(again.path)
    for layer in ("early_conv", "early_bn", "late_conv"):
        for ours, theirs in zip(
            after.get_layer(layer).get_weights(),
            before.get_layer(layer).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
    # The exact solution is better than what a few steps reached.
    assert best_auc(again) > best_auc(run)
    assert validation_auc(again) == pytest.approx(best_auc(again), abs=1e-6)


def test_a_detector_from_scratch_ends_with_a_regression(run):
    assert validation_auc(run) > best_auc(run)
    # As on frozen features, they are standardised in front of it.
    mean, _ = models.load(run.path).get_layer("features_norm").get_weights()
    assert np.any(mean != 0)


@pytest.mark.slow
def test_a_regression_that_validation_finds_no_better_is_not_used(
    run, config, tmp_path, monkeypatch
):
    def fit_badly(model, *_, **__):
        layer = model.get_layer("logit")
        layer.set_weights([-weight for weight in layer.get_weights()])
        return {"method": "regression", "penalty": 1.0, "features": 24}

    monkeypatch.setattr("dfk.training.train.fit_head", fit_badly)
    kept = train(config, str(tmp_path / "kept"))
    assert validation_auc(kept) == pytest.approx(best_auc(run), abs=1e-6)


def test_two_images_are_enough_for_a_head(run, config):
    # Too few for cross-validation.
    faces = data.load(None, config.data_dir, 40, ("train",), limit=2)
    strategy = strategies.choose("one_device")
    sources = [Source("faces", faces.splits["train"])]
    fitted = fit_head(models.load(run.path), sources, strategy, RECIPE)
    assert fitted == {
        "method": "logistic regression",
        "penalty": 0.1,
        "features": 48,
        "images": 2,
    }


def test_a_head_is_fitted_on_as_many_images_as_memory_allows(
    run, config, monkeypatch
):
    faces = data.load(None, config.data_dir, 40, ("train",))
    sources = [Source("faces", faces.splits["train"])]
    # An image and its flip have 48 numbers of 4 bytes each.
    monkeypatch.setattr(head_fit, "MEMORY_LIMIT", 12 * 2 * 48 * 4)
    detector = models.load(run.path)
    strategy = strategies.choose("one_device")
    fitted = head_fit.fit_head(detector, sources, strategy, RECIPE)
    assert fitted["images"] == 12


def test_only_the_stages_asked_for_are_trained(run, config, tmp_path):
    upper = dataclasses.replace(
        config, weights=str(run.model_path), unfreeze="late", epochs=1
    )
    folder = train(upper, str(tmp_path / "upper"))
    # The last epoch's weights, be it the best one or not.
    reader = tf.train.load_checkpoint(str(folder.checkpoints))
    after = [
        reader.get_tensor(name)
        for name, shape in reader.get_variable_to_shape_map().items()
        if name.startswith("model/") and shape
    ]
    before = models.load(run.path)

    def unchanged(layer):
        (weights, *_) = before.get_layer(layer).get_weights()
        return any(np.array_equal(weights, kept) for kept in after)

    assert unchanged("early_conv")
    assert unchanged("late_bn")
    assert not unchanged("late_conv")


@pytest.mark.parametrize(
    ("precision", "accumulate"),
    [
        pytest.param("mixed_bfloat16", 1, marks=pytest.mark.slow),
        ("mixed_float16", 2),
    ],
)
def test_a_training_in_bfloat16_gives_a_float32_detector(
    config, tmp_path, precision, accumulate
):
    half = dataclasses.replace(
        config, precision=precision, accumulate=accumulate, epochs=1
    )
    detector = models.load(train(half, str(tmp_path / "half")).path)
    assert {layer.compute_dtype for layer in detector.layers} == {"float32"}
    assert models.score_layer(detector).calibration.images == (20, 20)
