import math

import numpy as np
import pytest
from sklearn import metrics as sk

from dfk.evaluation import metrics, statistics


def faces(count=400, seed=0):
    """Labels and overlapping float32 scores, some of them equal."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    logits = 2 * labels - 1 + generator.normal(size=count)
    scores = np.round(1 / (1 + np.exp(-logits)), 2).astype(np.float32)
    return labels, scores


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_equal_those_of_scikit_learn(weighted):
    labels, scores = faces()
    weights = np.random.default_rng(1).poisson(1.0, len(labels)) * 1.0
    ours = metrics.measure(labels, scores, weights if weighted else None)
    how = {"sample_weight": weights} if weighted else {}
    called = scores > 0.5
    theirs = {
        "accuracy": sk.accuracy_score(labels, called, **how),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called, **how),
        "roc_auc": sk.roc_auc_score(labels, scores, **how),
        "average_precision": sk.average_precision_score(labels, scores, **how),
        "f1": sk.f1_score(labels, called, **how),
    }
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs)


def test_weights_count_images_as_often_as_repeating_them():
    labels, scores = faces(60)
    times = np.random.default_rng(2).integers(0, 4, 60)
    weighted = metrics.measure(labels, scores, weights=times * 1.0)
    repeated = metrics.measure(labels.repeat(times), scores.repeat(times))
    assert weighted == pytest.approx(repeated)


def test_equal_error_rate_lies_between_two_points_of_the_curve():
    # fpr 0 at a miss rate of 0.2, then the straight line to (1, 1): the rates
    # meet where x = 0.2 (1 - x).
    eer = metrics.equal_error_rate(np.array([0, 0, 1]), np.array([0, 0.8, 1]))
    assert eer == pytest.approx(1 / 6)


def test_equal_error_rate_of_two_normal_distributions():
    generator = np.random.default_rng(0)
    labels = np.arange(40_000) % 2
    normal = generator.normal(size=len(labels)) + 2 * labels
    # Any rising function into 0..1 keeps the order, which is what counts.
    scores = 1 / (1 + np.exp(-normal))
    expected = 0.5 * math.erfc(1 / math.sqrt(2))  # P(normal > 1)
    measured = metrics.measure(labels, scores)["eer"]
    assert measured == pytest.approx(expected, abs=0.005)


def test_perfect_and_inverted_scores():
    labels = np.array([0, 0, 1, 1])
    perfect = metrics.measure(labels, np.array([0.1, 0.2, 0.8, 0.9]))
    brier = pytest.approx((0.1**2 + 0.2**2) / 2)
    assert perfect == dict.fromkeys(metrics.TITLES, 1.0) | {
        "eer": 0.0,
        "brier": brier,
    }
    inverted = metrics.measure(labels, np.array([0.9, 0.8, 0.2, 0.1]))
    assert (inverted["roc_auc"], inverted["eer"]) == (0.0, 1.0)


def test_half_is_not_called_fake():
    assert metrics.confusion(np.array([0, 1]), np.array([0.5, 0.5])) == {
        "real": {"real": 1, "fake": 0},
        "fake": {"real": 1, "fake": 0},
    }


@pytest.mark.parametrize(("label", "accuracy"), [(0, 0.75), (1, 0.25)])
def test_one_class_has_accuracy_and_brier_and_no_more(label, accuracy):
    scores = np.array([0.1, 0.2, 0.3, 0.9])
    measured = metrics.with_intervals(np.full(4, label), scores, np.arange(4))
    brier = measured.pop("brier")["value"]
    assert brier == pytest.approx(np.mean((scores - label) ** 2))
    nothing = {"value": None, "low": None, "high": None}
    assert measured.pop("accuracy")["value"] == accuracy
    assert list(measured.values()) == [nothing] * 5


@pytest.fixture
def many_resamples(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)


def test_interval_of_independent_images_is_the_binomial_one(many_resamples):
    generator = np.random.default_rng(3)
    labels = np.arange(2000) % 2
    right = generator.random(2000) < 0.8
    scores = np.where(right, labels, 1 - labels) * 0.8 + 0.1

    def weighed(weights):
        return {
            "accuracy": np.average((scores > 0.5) == labels, weights=weights)
        }

    # Not all metrics, which take a hundred times longer.
    accuracy = statistics.estimates(weighed(None), weighed, np.arange(2000))[
        "accuracy"
    ]
    half = 1.96 * math.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 2000)
    assert accuracy["value"] == pytest.approx(right.mean())
    assert accuracy["value"] - accuracy["low"] == pytest.approx(half, rel=0.1)
    assert accuracy["high"] - accuracy["value"] == pytest.approx(half, rel=0.1)


def test_interval_widens_with_groups_that_err_together(many_resamples):
    generator = np.random.default_rng(4)
    videos = np.arange(100).repeat(16)
    right = (generator.random(100) < 0.8)[videos]

    def width(groups):
        found = statistics.estimates(
            {"accuracy": right.mean()},
            lambda weights: {"accuracy": np.average(right, weights=weights)},
            groups,
        )["accuracy"]
        return found["high"] - found["low"]

    # Sixteen copies tell nothing new: the width is that of 100 images.
    ratio = width(videos) / width(np.arange(1600))
    assert ratio == pytest.approx(4, rel=0.15)


def test_intervals_repeat():
    labels, scores = faces(100)
    groups = np.array([f"person {i}" for i in range(50)]).repeat(2)
    first = metrics.with_intervals(labels, scores, groups)
    assert metrics.with_intervals(labels, scores, groups) == first


def test_a_single_group_has_no_interval():
    labels, scores = faces(30)
    measured = metrics.with_intervals(labels, scores, np.zeros(30))
    assert all(
        m["low"] is None and m["high"] is None for m in measured.values()
    )


def test_resamples_that_lose_a_class_are_left_out():
    # Without the only group of fakes, all but the accuracy is undefined.
    labels, groups = np.array([0, 0, 1]), np.array(["a", "b", "c"])
    measured = metrics.with_intervals(labels, np.array([0.1, 0.6, 0.9]), groups)
    assert measured["roc_auc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert measured["balanced_accuracy"]["low"] == 0.5


def test_verdict_table_counts_uncertain_right_and_wrong():
    labels = np.array([0, 0, 0, 0, 1, 1])
    verdicts = np.array(
        ["real", "real", "fake", "uncertain"] + ["uncertain"] * 2
    )
    table = metrics.verdict_table(labels, verdicts)
    assert table["real"] == {
        "images": 4,
        "uncertain": 0.25,
        "accuracy": pytest.approx(2 / 3),
        "wrong": 0.25,
    }
    assert table["fake"] == {
        "images": 2,
        "uncertain": 1.0,
        "accuracy": None,
        "wrong": 0.0,
    }
    assert table["all"]["images"] == 6


def test_verdict_table_of_one_class_leaves_the_other_empty():
    table = metrics.verdict_table(np.array([1]), np.array(["fake"]))
    assert table["real"] == {
        "images": 0,
        "uncertain": None,
        "accuracy": None,
        "wrong": None,
    }


def test_bins_hold_equally_many_images_in_order_of_score():
    random = np.random.default_rng(0)
    scores, labels = random.random(100), random.integers(0, 2, 100)
    table = metrics.reliability_bins(labels, scores)
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
    error = metrics.expected_calibration_error(labels, scores, bins=2)
    assert error == pytest.approx((0.2 + 0.4) / 2)


def test_overconfidence_shows():
    random = np.random.default_rng(1)
    truth = random.random(20_000)
    labels = random.random(20_000) < truth
    logits = np.log(truth / (1 - truth))
    calibrated = metrics.expected_calibration_error(labels, truth)
    overconfident = metrics.expected_calibration_error(
        labels, 1 / (1 + np.exp(-3 * logits))
    )
    assert calibrated < 0.012
    assert overconfident > 0.1


def test_fewer_images_than_bins_have_a_bin_each():
    table = metrics.reliability_bins(np.array([0, 1]), np.array([0.2, 0.9]))
    assert table["images"].tolist() == [1, 1]


def test_calibrated_scores_err_by_chance_as_much_as_expected():
    random = np.random.default_rng(2)
    scores = random.beta(0.5, 0.5, 300)
    mean, high = metrics.calibrated_error(scores)
    errors = [
        metrics.expected_calibration_error(random.random(300) < scores, scores)
        for _ in range(400)
    ]
    assert np.mean(errors) == pytest.approx(mean, rel=0.05)
    assert 0.91 < np.mean(np.array(errors) < high) < 0.98
