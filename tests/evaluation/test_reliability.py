import numpy as np
import pytest
from dfk.evaluation.reliability import (
    calibrated_error,
    expected_calibration_error,
    reliability_bins,
)


def test_bins_hold_equally_many_images_in_order_of_score():
    random = np.random.default_rng(0)
    scores, labels = random.random(100), random.integers(0, 2, 100)
    table = reliability_bins(labels, scores)
    assert set(table["images"]) == {6, 7}
    assert table["images"].sum() == 100
    assert (np.diff(table["predicted"]) > 0).all()
    lowest = np.argsort(scores)[: table["images"][0]]
    assert table["predicted"][0] == pytest.approx(scores[lowest].mean())
    assert table["observed"][0] == pytest.approx(labels[lowest].mean())


def test_the_error_of_a_known_answer():
    # Two bins of two: predicted .2 and .9, observed 0 and .5.
    labels = np.array([0, 0, 1, 0])
    scores = np.array([0.1, 0.3, 0.8, 1.0])
    error = expected_calibration_error(labels, scores, bins=2)
    assert error == pytest.approx((0.2 + 0.4) / 2)


def test_overconfidence_shows():
    random = np.random.default_rng(1)
    truth = random.random(20_000)
    labels = random.random(20_000) < truth
    logits = np.log(truth / (1 - truth))
    honest = expected_calibration_error(labels, truth)
    boastful = expected_calibration_error(labels, 1 / (1 + np.exp(-3 * logits)))
    assert honest < 0.012
    assert boastful > 0.1


def test_fewer_images_than_bins_have_a_bin_each():
    table = reliability_bins(np.array([0, 1]), np.array([0.2, 0.9]))
    assert table["images"].tolist() == [1, 1]


def test_honest_scores_err_by_chance_as_much_as_it_says():
    random = np.random.default_rng(2)
    scores = random.beta(0.5, 0.5, 300)
    mean, high = calibrated_error(scores)
    errors = [
        expected_calibration_error(random.random(300) < scores, scores)
        for _ in range(400)
    ]
    assert np.mean(errors) == pytest.approx(mean, rel=0.05)
    assert 0.91 < np.mean(np.array(errors) < high) < 0.98
