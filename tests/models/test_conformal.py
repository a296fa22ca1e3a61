import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from dfk import models
from dfk.errors import UserError
from dfk.evaluation.guarantees import coverage
from dfk.models import Calibration
from dfk.models.conformal import (
    balanced,
    conformal_limits,
    required_images,
    upper_quantile,
)


def sigmoid(x):
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def faces(generator, count, separation=2.0):
    """Labels and overlapping scores, `count` of each class."""
    labels = np.arange(2 * count) % 2
    logits = separation * (labels - 0.5) + generator.normal(size=2 * count)
    return labels, sigmoid(logits)


def test_each_class_stays_possible_up_to_its_quantile():
    # n = 3 and 25 %: k = 3, the largest real and the smallest fake.
    scores = np.float32([0.1, 0.2, 0.7, 0.4, 0.8, 0.9])
    labels = np.array([0, 0, 0, 1, 1, 1])
    limits = conformal_limits(scores, labels, error_rate=0.25)
    assert limits == (np.float32(0.7), np.float32(0.4))


def test_limits_are_exact_among_neighbouring_floats():
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    scores = np.array([low, high] * 3, np.float32)
    labels = np.arange(6) % 2
    assert conformal_limits(scores, labels, error_rate=0.25) == (low, high)


@pytest.mark.parametrize(
    ("error_rate", "count"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.3, 3)]
)
def test_verdicts_begin_at_the_required_number_of_images(error_rate, count):
    assert required_images(error_rate) == count

    def limits(count):
        labels = np.arange(2 * count) % 2
        return conformal_limits(sigmoid(2.0 * labels), labels, error_rate)

    assert limits(count - 1) == (1.0, 0.0)
    assert limits(count) != (1.0, 0.0)


def test_too_few_reals_rule_out_fake_only():
    labels = np.array([0] * 5 + [1] * 30)
    real_up_to, fake_down_to = conformal_limits(
        sigmoid(4.0 * labels - 2), labels
    )
    assert real_up_to == 1.0
    assert 0.0 < fake_down_to < 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_limits_need_both_classes(label):
    with pytest.raises(UserError, match="both classes"):
        conformal_limits(np.ones(9), np.full(9, label))


@pytest.mark.parametrize("error_rate", [0.0, 1.0, 5])
def test_an_error_rate_is_a_share(error_rate):
    with pytest.raises(UserError, match=f"error_rate={error_rate}"):
        required_images(error_rate)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_a_new_score_seldom_exceeds_the_quantile(rate):
    # With 199 scores the chance is exactly (200 - k) / 200 = rate.
    generator = np.random.default_rng(0)
    old, new = generator.normal(size=(2, 4000, 199))
    above = [
        np.mean(fresh > upper_quantile(known, rate))
        for known, fresh in zip(old, new, strict=True)
    ]
    assert np.mean(above) == pytest.approx(rate, abs=4 * np.std(above) / 63)


@pytest.mark.parametrize(
    ("separation", "low", "high"), [(2.0, 0.045, 0.055), (6.0, 0.0, 0.01)]
)
def test_errors_keep_to_the_error_rate(separation, low, high):
    """A class rarely gets the other's verdict, over many calibrations.

    With 99 images a class and 5 %, a label is ruled out above the 95th
    score, which a new image exceeds with a chance of exactly 5/100. Where
    the classes overlap, ruling out one label is the other's verdict; where
    they do not, most of the ruled out are uncertain.
    """
    generator = np.random.default_rng(0)
    wrong = []
    for _ in range(400):
        labels, scores = faces(generator, 99, separation)
        limits = np.float32(conformal_limits(scores, labels))
        labels, scores = faces(generator, 200, separation)
        real, fake = scores <= limits[0], scores >= limits[1]
        wrong.append(
            [
                np.mean((fake & ~real)[labels == 0]),
                np.mean((real & ~fake)[labels == 1]),
            ]
        )
    # The standard error of a mean over 400 repetitions is about 0.0013.
    rates = np.mean(wrong, axis=0)
    assert (low <= rates).all()
    assert (rates <= high).all()


def test_temperature_changes_no_verdict():
    generator = np.random.default_rng(6)
    labels = np.arange(200) % 2
    logits = 3 * (labels - 0.5) + generator.normal(size=200)

    def found(scores):
        limits = np.float32(conformal_limits(scores, labels))
        return [scores <= limits[0], scores >= limits[1]]

    np.testing.assert_array_equal(
        found(sigmoid(logits)), found(sigmoid(logits / 2.5))
    )


def test_coverage_counts_the_true_labels_that_stay_possible():
    calibration = Calibration(real_up_to=0.6, fake_down_to=0.4, images=(99, 10))
    labels = np.array([0, 0, 0, 0, 1, 1])
    scores = np.float32([0.1, 0.5, 0.6, 0.9, 0.4, 0.3])
    got = coverage(labels, scores, calibration)
    assert got["real"]["covered"] == 0.75
    assert got["fake"]["covered"] == 0.5
    # Ten fakes are too few for an error rate of 5 %.
    assert got["fake"]["guaranteed"] is None
    assert got["real"]["guaranteed"] == 0.95
    chance = stats.betabinom(4, 95, 5)
    assert got["real"]["low"] == chance.ppf(0.025) / 4
    assert got["real"]["high"] == 1.0


def test_the_coverage_of_exchangeable_images_lies_within_its_interval():
    generator = np.random.default_rng(3)
    inside = []
    for _ in range(300):
        labels, scores = faces(generator, 50)
        limits = conformal_limits(scores, labels)
        calibration = Calibration(1, 0, *limits, images=(50, 50))
        labels, scores = faces(generator, 150)
        for row in coverage(labels, scores, calibration).values():
            inside.append(row["low"] <= row["covered"] <= row["high"])
    # At least 95 %, since counts are whole; 600 trials, error 0.9 %.
    assert 0.94 < np.mean(inside) < 0.99


def test_a_class_without_images_has_no_coverage():
    got = coverage(
        np.zeros(3, int), np.float32([0.1] * 3), Calibration(images=(50, 50))
    )
    assert got["fake"]["covered"] is None
    # Which is no fault of validation.
    assert got["fake"]["guaranteed"] == 0.95
    assert got["fake"]["low"] is None


CLOSE = ("uncertain", "too close to call")


def verdicts(probabilities, limits, ood_score=None):
    ood_score = ood_score or [0.0] * len(probabilities)
    found = models.verdicts(
        tf.constant(probabilities), tf.constant(ood_score), tf.constant(limits)
    )
    return [
        (verdict.decode(), reason.decode())
        for verdict, reason in zip(
            found["verdict"].numpy(), found["reason"].numpy(), strict=True
        )
    ]


def test_what_both_could_be_is_uncertain():
    found = verdicts([0.2, 0.25, 0.5, 0.75, 0.8], [0.75, 0.25])
    assert found == [("real", ""), CLOSE, CLOSE, CLOSE, ("fake", "")]


def test_what_neither_could_be_is_uncertain():
    found = verdicts([0.25, 0.5, 0.75], [0.25, 0.75])
    assert found == [("real", ""), CLOSE, ("fake", "")]


def test_limits_that_rule_nothing_out_leave_all_uncertain():
    assert verdicts([0.0, 0.5, 1.0], [1.0, 0.0]) == [CLOSE] * 3


def test_the_out_of_distribution_and_the_unreadable_say_so():
    found = verdicts([0.9, 0.9, np.nan], [0.7, 0.3], [1.0, 1.01, 5.0])
    assert found == [
        ("fake", ""),
        ("uncertain", "unlike the training pictures"),
        ("unreadable", "not a picture that can be decoded"),
    ]


def test_the_uncertain_range_is_ordered():
    assert Calibration(1, 0, 0.7, 0.3).uncertain == (0.3, 0.7)
    assert Calibration(1, 0, 0.3, 0.7).uncertain == (0.3, 0.7)


@pytest.mark.parametrize("harsher", [0.0, 0.4])
def test_no_source_has_twice_as_many_reals_called_fake(harsher):
    sources = np.repeat(["mild", "harsh"], 400)
    labels = np.tile([0, 1], 400)
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0, 0.3, 800).astype(np.float32)
    probabilities[labels == 1] += 0.7
    harsh = (sources == "harsh") & (labels == 0)
    probabilities[harsh] += harsher
    real_up_to, _ = conformal_limits(probabilities, labels, 0.1, sources)
    called_fake = [
        np.mean(probabilities[(sources == name) & (labels == 0)] > real_up_to)
        for name in ("mild", "harsh")
    ]
    # Alike, they have the error rate; else the harsh one has twice that.
    expected = [0, 0.2] if harsher else [0.1, 0.1]
    assert called_fake == pytest.approx(expected, abs=0.03)


def test_a_small_source_weighs_as_much_as_a_large_one():
    # A tenth of each source is below 1; of all images, a tenth too.
    scores = np.float32([0] * 10 + [1] * 90 + [0] * 1 + [1] * 9)
    sources = np.array(["large"] * 100 + ["small"] * 10)
    weights = balanced(np.zeros(110, int), sources)
    assert weights[:100].sum() == pytest.approx(weights[100:].sum())
    # All that is low is of the small source: half of the weight, not a tenth.
    low = np.float32(sources == "large")
    assert upper_quantile(-low, 0.6, weights) == -1
    assert upper_quantile(-low, 0.4, weights) == 0
    assert upper_quantile(scores, 0.5, weights) == upper_quantile(scores, 0.5)
