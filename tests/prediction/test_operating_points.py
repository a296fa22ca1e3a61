"""Detectors that are asked for few false alarms."""

import dataclasses

import keras
import pytest

import dfk
from dfk import models
from dfk.errors import UserError
from dfk.runs import Run


@pytest.fixture
def calibrated(run, tmp_path):
    """The run's model, with a limit of its own for each rate."""
    model = keras.models.load_model(Run(run).model_path)
    layer = models.score_layer(model)
    layer.calibration = dataclasses.replace(
        layer.calibration,
        real_up_to=0.0,
        fake_down_to=0.0,
        alarms=(0.99,) * 6 + (0.5,),
        images=(99, 99),
    )
    path = tmp_path / "model.keras"
    model.save(path)
    return path


def _verdicts(images, *args):
    return {each.verdict for each in dfk.load(*args).predict(images, "none")}


def test_fewer_are_called_fake_where_fewer_false_alarms_are_allowed(
    calibrated, images
):
    usual = _verdicts(images, calibrated)
    assert "fake" in usual
    assert "fake" not in _verdicts(images, calibrated, 0.01)


def test_more_false_alarms_than_validation_can_say_are_refused(
    calibrated, place
):
    with pytest.raises(UserError, match=r"99 real pictures, too few .* 199"):
        dfk.load(calibrated, 0.005)
    with pytest.raises(UserError, match="a SavedModel, whose limits are fixed"):
        dfk.load(place / "saved_models" / "tiny", 0.01)
