import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from dfk.errors import UserError
from dfk.models import calibration
from dfk.models.calibration import (
    CalibratedScore,
    Calibration,
    fit_scaling,
)
from dfk.models.conformal import verdicts


@pytest.mark.parametrize("bias", [-1.0, 0.0, 0.7])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_and_bias_are_recovered(temperature, bias):
    generator = np.random.default_rng(0)
    logits = generator.normal(scale=2, size=20_000)
    labels = generator.random(20_000) < 1 / (1 + np.exp(-logits))
    raw = (logits - bias) * temperature
    fitted = fit_scaling(raw, labels.astype(int))
    assert fitted[0] == pytest.approx(temperature, rel=0.05)
    assert fitted[1] == pytest.approx(bias, abs=0.05)


def test_it_agrees_with_logistic_regression():
    generator = np.random.default_rng(1)
    # So many that they outweigh the prior.
    labels = np.arange(100_000) % 2
    logits = 2.0 * labels + 1 + generator.normal(size=len(labels))
    temperature, bias = fit_scaling(logits, labels)
    reference = LogisticRegression(C=np.inf).fit(logits[:, None], labels)
    assert 1 / temperature == pytest.approx(reference.coef_[0, 0], rel=0.01)
    assert bias == pytest.approx(reference.intercept_[0], rel=0.01)


def test_a_bias_is_used_only_where_it_helps():
    generator = np.random.default_rng(2)
    labels = np.arange(100) % 2
    logits = 4.0 * (labels - 0.5) + generator.normal(size=100)
    assert fit_scaling(logits, labels)[1] == 0.0
    assert fit_scaling(logits + 3, labels)[1] < -2


def test_too_few_images_to_try_a_bias_on_get_none():
    _, bias = fit_scaling(
        np.array([3.0, 1.0, 4.0, 5.0]), np.array([1, 0, 1, 1])
    )
    assert bias == 0.0


def test_separated_classes_do_not_make_a_detector_certain():
    labels = np.arange(100) % 2
    temperature, bias = fit_scaling(2.0 * (2 * labels - 1), labels)
    assert 0.4 < temperature < 0.7
    assert bias == pytest.approx(0, abs=1e-3)


def test_few_images_cannot_change_much():
    generator = np.random.default_rng(3)
    logits = generator.normal(scale=3, size=600)
    labels = (generator.random(600) < 1 / (1 + np.exp(-logits))).astype(int)
    fitted = [
        fit_scaling(logits[start : start + 20], labels[start : start + 20])
        for start in range(0, 600, 20)
    ]
    temperatures, biases = np.transpose(fitted)
    # The truth is 1 and 0.
    assert np.std(np.log(temperatures)) < 0.3
    assert np.std(biases) < 0.3


def test_temperature_of_useless_logits_ends_at_its_limit():
    labels = np.arange(100) % 2
    temperature, _ = fit_scaling(5.0 * (1 - 2 * labels), labels)
    assert temperature == pytest.approx(calibration.TEMPERATURES[1], rel=0.01)


@pytest.mark.parametrize("label", [0, 1])
def test_calibration_needs_both_classes(label):
    with pytest.raises(UserError, match="both classes"):
        fit_scaling(np.ones(9), np.full(9, label))


def test_the_calibration_divides_the_logit():
    layer = CalibratedScore(dtype="float32")
    layer.build((None, 1))
    layer.calibration = Calibration(temperature=2.0)
    np.testing.assert_allclose(
        layer(tf.constant([[3.0]])), 1 / (1 + np.exp(-1.5)), rtol=1e-6
    )


def test_fit_gives_what_the_layer_of_a_detector_needs():
    generator = np.random.default_rng(5)
    labels = np.arange(400) % 2
    logits = 6 * (labels - 0.5) + 3 * generator.normal(size=400)
    layer = CalibratedScore()
    layer.build((None, 1))
    layer.calibration = calibration.fit(logits[:, None], labels)

    fitted = layer.calibration
    assert (fitted.temperature, fitted.bias) == pytest.approx(
        fit_scaling(logits, labels)
    )
    assert (fitted.error_rate, fitted.images) == (0.05, (200, 200))
    scores = layer(logits[:, None].astype(np.float32))[:, 0]
    found = verdicts(scores, tf.zeros(400), layer.limits)["verdict"]
    found = found.numpy().astype(str)
    # 200 images: k = ceil(201 * .95) = 191 of each class are not ruled out.
    assert np.sum(found[labels == 0] == "fake") == 9
    assert np.sum(found[labels == 1] == "real") == 9
    # And of the reals, k = 200, 199, 197, 191 and 181 raise no alarm at .5, 1,
    # 2, 5 and 10 %; for less they are too few.
    reals = np.asarray(scores)[labels == 0]
    alarms = [np.sum(reals > np.float32(a)) for a in fitted.alarms]
    assert alarms == [0, 0, 0, 1, 3, 9, 19]
    assert fitted.alarms[:2] == (1.0, 1.0)


def test_alarms_that_validation_cannot_guarantee_are_never_raised():
    labels = np.arange(60) % 2
    fitted = calibration.fit(4.0 * labels - 2 + np.linspace(0, 1, 60), labels)
    # 30 reals, and a rate of 5 % takes 19.
    assert fitted.alarms[:5] == (1.0,) * 5
    assert max(fitted.alarms[5:]) < 1.0


def test_false_alarms_are_limited_to_what_validation_can_say():
    fitted = Calibration(
        alarms=(1.0, 1.0, 1.0, 0.9, 0.8, 0.7, 0.6), images=(150, 150)
    )
    moved = calibration.with_false_alarms(fitted, 0.01)
    assert moved == dataclasses.replace(fitted, real_up_to=0.9)
    # Between two points, the one that promises more.
    assert calibration.with_false_alarms(fitted, 0.04).real_up_to == 0.8
    with pytest.raises(UserError, match=r"150 real .* takes 199: pass 1\.0%"):
        calibration.with_false_alarms(fitted, 0.005)
    # The detector's own limit may be stricter, up to its error rate.
    strict = dataclasses.replace(fitted, real_up_to=0.95)
    assert calibration.with_false_alarms(strict, 0.05) == strict
    assert calibration.with_false_alarms(strict, 0.1).real_up_to == 0.6
    none = Calibration(images=(5, 5))
    with pytest.raises(UserError, match="leave it out"):
        calibration.with_false_alarms(none, 0.1)


@pytest.mark.parametrize("rate", [0.0005, 0.2])
def test_a_rate_that_no_detector_carries_is_refused(rate):
    with pytest.raises(UserError, match=r"between 0\.1% and 10%"):
        calibration.with_false_alarms(Calibration(images=(9999, 9999)), rate)
