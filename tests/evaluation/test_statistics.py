import numpy as np
import pytest
from skilled import LABELS, scores
from sklearn.metrics import roc_auc_score

from dfk.evaluation.statistics import PairedAucs, holm, mcnemar, weighted_auc


def test_variation_over_seeds_is_no_significant_difference():
    groups = np.arange(len(LABELS))
    steady = np.stack([scores(0.3), scores(0.3)])
    lucky = np.stack([scores(3), scores(0.3)])
    one = PairedAucs(LABELS, groups, [lucky[:1], steady], 999)
    assert one.difference(1, 0).p < 0.01
    both = PairedAucs(LABELS, groups, [lucky, steady], 999)
    assert both.difference(1, 0).value < -0.1
    assert both.difference(1, 0).p > 0.3


def alarms(labels, groups, seeds=1, of_groups=0.0, of_seeds=0.0):
    """How often two equally good detectors differ significantly.

    Their skill varies over groups and over seeds, with these deviations.
    """
    generator = np.random.default_rng(0)
    _, members = np.unique(groups, return_inverse=True)

    def detector():
        skill = 1.5 + of_groups * generator.normal(size=members.max() + 1)
        skill = skill[members] + of_seeds * generator.normal(size=(seeds, 1))
        noise = generator.normal(size=(seeds, len(labels)))
        return skill * (2 * labels - 1) + noise

    p = [
        PairedAucs(labels, groups, [detector(), detector()], 50)
        .difference(1, 0)
        .p
        for _ in range(300)
    ]
    return np.mean(np.array(p) < 0.05)


# 0.05 and three standard errors of it over 300 trials.
SELDOM = 0.088


@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_equal_detectors_seldom_differ_significantly_by_few_groups(count):
    labels = np.tile([0, 1], 60)
    groups = np.arange(len(labels)) // 2 % count
    assert alarms(labels, groups, of_groups=1.0) <= SELDOM


@pytest.mark.parametrize("count", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_nor_by_few_groups_of_one_class_alone(count):
    """A hundred single photographs and some videos of fakes."""
    labels = np.repeat([0, 1], 100)
    groups = np.concatenate([np.arange(100), 100 + np.arange(100) % count])
    assert alarms(labels, groups, of_groups=1.0) <= SELDOM


@pytest.mark.parametrize("seeds", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_nor_by_few_seeds(seeds):
    labels = np.tile([0, 1], 60)
    found = alarms(labels, np.arange(120), seeds, of_seeds=1.0)
    assert found <= SELDOM


def test_two_groups_that_agree_show_nothing():
    groups = np.repeat([0, 1], 60)
    aucs = PairedAucs(LABELS, groups, [scores(3)[None], scores(0.1)[None]], 99)
    assert aucs.difference(1, 0).p >= 0.5


def test_images_of_one_group_count_once():
    groups = np.arange(len(LABELS))
    detectors = [scores(1)[None], scores(0.8, noise=1)[None]]
    once = PairedAucs(LABELS, groups, detectors, 200)
    repeated = PairedAucs(
        LABELS.repeat(3),
        groups.repeat(3),
        [d.repeat(3, 1) for d in detectors],
        200,
    )
    ours, theirs = once.difference(1, 0), repeated.difference(1, 0)
    assert theirs.low == pytest.approx(ours.low)
    assert theirs.p == ours.p


def test_the_interval_holds_the_known_difference_as_often_as_it_says():
    generator = np.random.default_rng(0)
    # Logits N(+-d, 1) have an area of Phi(d * sqrt(2)).
    true = 0.760250 - 0.921350
    held = []
    for _ in range(100):
        shared = generator.normal(size=len(LABELS)) * 0.8
        detectors = [
            (d * (2 * LABELS - 1) + shared + 0.6 * own)[None]
            for d, own in zip(
                (1, 0.5), generator.normal(size=(2, len(LABELS))), strict=True
            )
        ]
        groups = np.arange(len(LABELS))
        found = PairedAucs(LABELS, groups, detectors, 100).difference(1, 0)
        held.append(found.low <= true <= found.high)
    # Three standard errors of 0.95 over 100 trials.
    assert np.mean(held) == pytest.approx(0.95, abs=0.065)


def test_weighted_areas_equal_those_of_scikit_learn():
    generator = np.random.default_rng(1)
    rounded = np.round([scores(1), scores(0.2, noise=1)], 1)
    weights = generator.integers(0, 3, len(LABELS)) * 1.0
    assert weighted_auc(LABELS, rounded)(weights) == pytest.approx(
        [roc_auc_score(LABELS, row, sample_weight=weights) for row in rounded]
    )


def test_mcnemar_counts_the_images_on_which_only_one_is_right():
    first = np.array([True] * 1 + [False] * 9 + [True] * 20)
    test = mcnemar(first, ~first | (np.arange(30) > 9))
    assert (test.only_first, test.only_second) == (1, 9)
    # Twice the chance of at most one head in ten throws.
    assert test.p == pytest.approx(2 * 11 / 1024)


def test_holm_corrects_the_smallest_p_most():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx(
        [0.04, 0.09, 0.09, 0.5]
    )
