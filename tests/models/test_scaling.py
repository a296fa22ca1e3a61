import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dfk.errors import UserError
from dfk.models.scaling import TEMPERATURES, fit_scaling


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
    assert temperature == pytest.approx(TEMPERATURES[1], rel=0.01)


@pytest.mark.parametrize("label", [0, 1])
def test_calibration_needs_both_classes(label):
    with pytest.raises(UserError, match="both classes"):
        fit_scaling(np.ones(9), np.full(9, label))
