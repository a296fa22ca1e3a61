"""Runs of the small detector that also learn self-blended fakes."""

import dataclasses

import pytest

from dfk import data, models
from dfk.training.head_fit import fit_head
from dfk.training.self_blends import SelfBlends
from dfk.training.train import train
from dfk.training.validation import Validation, quality


def _splits(config):
    return data.load(
        data_dir=config.data_dir, image_size=config.image_size
    ).splits


@pytest.mark.slow
def test_self_blends_are_trained_on_and_measured(
    config, tmp_path, faces_found, monkeypatch
):
    fitted_on = []

    def fit(model, sources, *others, **options):
        fitted_on.extend(source.split.name for source in sources)
        return fit_head(model, sources, *others, **options)

    monkeypatch.setattr("dfk.training.train.fit_head", fit)
    blended = dataclasses.replace(config, blend=1.0, epochs=1)
    run = train(blended, str(tmp_path / "blended"))
    assert run.config["plan"]["self_blends"] == 2 * 23
    assert fitted_on == ["train", "train-blends"]
    training = run.results["training"]
    assert all(0 <= row["val_blend_auc"] <= 1 for row in training["epochs"])
    blends = SelfBlends(_splits(config)["validation"], share=1.0).split(seed=0)
    again = Validation(models.load(run.path), [blends], tmp_path)()["val_auc"]
    kept = training["validation"]["val_blend_auc"]
    assert kept == pytest.approx(again, abs=1e-6)


@pytest.mark.slow
def test_a_head_that_is_fitted_to_self_blends_tells_them_better(
    config, tmp_path, faces_found
):
    # Random features, but many of them.
    frozen = dataclasses.replace(config, model="cnn", unfreeze="none")
    blended = dataclasses.replace(frozen, blend=1.0)
    without = train(frozen, str(tmp_path / "without"))
    fitted = train(blended, str(tmp_path / "fitted"))
    # Those that it was fitted to: what random features see carries no further.
    training = SelfBlends(_splits(config)["train"], share=1.0, varied=True)
    blends = training.split(seed=0)
    aucs = [
        Validation(models.load(each.path), [blends], tmp_path)()["val_auc"]
        for each in (fitted, without)
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
def test_quality_counts_self_blends_as_well(better, worse):
    assert quality(better) > quality(worse)
