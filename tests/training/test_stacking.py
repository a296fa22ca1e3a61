import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from dfk.errors import UserError
from dfk.training import stacking
from dfk.training.selection import select


@pytest.fixture(autouse=True)
def one_division(monkeypatch):
    """More divisions into folds are steadier, and take longer."""
    monkeypatch.setattr(stacking, "REPEATS", 1)


def parts(separations, count=100, seed=0, correlation=0.3):
    """Logits whose scale is wrong, of parts that partly err together."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    shared = correlation**0.5 * generator.normal(size=count)
    columns = [
        4 * (separation * (labels - 0.5) + shared)
        + 4 * (1 - correlation) ** 0.5 * generator.normal(size=count)
        for separation in separations
    ]
    return np.stack(columns, axis=1), labels


def test_one_part_is_scaled_to_log_odds():
    generator = np.random.default_rng(0)
    labels = np.arange(20_000) % 2
    # Two unit normals 2 apart have log-odds of 2 x.
    x = generator.normal(2.0 * (labels - 0.5))
    stack = stacking.fit(10 * x[:, None], labels)
    assert stack.weights[0] == pytest.approx(0.2, abs=0.01)
    assert stack.bias == pytest.approx(0.0, abs=0.05)


def test_copies_of_one_part_share_alike_and_change_nothing():
    logits, labels = parts([2.0])
    alone = stacking.fit(logits, labels)
    both = stacking.fit(np.repeat(logits, 2, axis=1), labels)
    np.testing.assert_allclose(both.shares, 0.5, atol=1e-3)
    np.testing.assert_allclose(
        both(np.repeat(logits, 2, axis=1)), alone(logits), atol=0.1
    )


def test_the_scale_of_a_part_does_not_matter():
    logits, labels = parts([2.4, 2.0])
    scaled = stacking.fit(logits * [1.0, 0.25], labels)
    plain = stacking.fit(logits, labels)
    np.testing.assert_allclose(scaled.shares, plain.shares, atol=1e-3)


def test_a_part_that_knows_nothing_or_the_opposite_hardly_counts():
    logits, labels = parts([2.8, 0.0, -2.0], correlation=0.0)
    stack = stacking.fit(logits, labels)
    answers = stack.weights * logits.std(axis=0)
    assert np.all(np.abs(answers[1:]) < 0.1 * answers[0])
    assert np.all(stack.weights > 0)


def test_parts_that_err_apart_are_better_together():
    logits, labels = parts([2.4, 2.4, 2.4])
    unseen, truth = parts([2.4, 2.4, 2.4], count=4000, seed=99)
    losses = [
        log_loss(
            truth,
            expit(stacking.fit(logits[:, :k], labels)(unseen[:, :k])),
        )
        for k in (1, 3)
    ]
    assert losses[1] < 0.8 * losses[0]


def test_folds_keep_groups_whole():
    labels = np.arange(40) % 2
    groups = np.repeat(np.arange(10), 4)
    for fitting, held_out in stacking.divide(labels, groups):
        assert not set(groups[fitting]) & set(groups[held_out])


def test_one_group_of_a_class_is_too_few():
    with pytest.raises(UserError, match="at least two groups"):
        stacking.divide(np.array([0, 0, 1, 1]), np.array([1, 2, 3, 3]))


def test_good_parts_are_combined_and_only_the_best_classifier_with_them():
    logits, labels = parts([1.0, 2.4, 2.4, 2.4])
    chosen = select(logits, labels, np.arange(100), classifiers=2)
    assert sorted(chosen.winner.members) == [1, 2, 3]
    assert chosen.winner.loss < min(team.loss for team in chosen.alone)


def test_a_detector_with_useless_company_stays_alone():
    logits, labels = parts([0.0, 0.0, 2.8], correlation=0.0, seed=3)
    chosen = select(logits, labels, np.arange(100), classifiers=1)
    assert chosen.winner.members[0] == 2
    assert chosen.winner.loss <= chosen.alone[2].loss


def test_classifiers_alone_are_not_combined():
    logits, labels = parts([2.0, 2.2])
    chosen = select(logits, labels, np.arange(100), classifiers=2)
    assert chosen.combination is None
    assert len(chosen.winner.members) == 1


def test_a_images_held_out_logit_is_of_a_stack_that_did_not_know_it():
    logits, labels = parts([2.0, 1.5])
    divisions = stacking.divide(labels, np.arange(100))
    (answers,) = stacking.held_out_logits(logits, labels, divisions)
    for fitting, held_out in divisions:
        stack = stacking.fit(logits[fitting], labels[fitting])
        np.testing.assert_allclose(answers[held_out], stack(logits[held_out]))


def test_many_useless_parts_are_not_flattered_by_what_they_were_fitted_on():
    honest, flattered = [], []
    for seed in range(5):
        logits, labels = parts([0.0] * 12, correlation=0.0, seed=seed)
        divisions = stacking.divide(labels, np.arange(100))
        (held_out,) = stacking.held_out_logits(logits, labels, divisions)
        known = stacking.fit(logits, labels)(logits)
        honest.append(roc_auc_score(labels, held_out))
        flattered.append(roc_auc_score(labels, known))
    assert np.mean(flattered) > 0.55
    assert np.mean(honest) < 0.5


def test_what_a_team_is_calibrated_on_was_held_out():
    logits, labels = parts([1.0, 2.4, 2.4])
    chosen = select(logits, labels, np.arange(100), classifiers=1)
    together = chosen.combination
    assert not np.allclose(together.held_out, together.logits(logits))
    alone = chosen.alone[0]
    np.testing.assert_array_equal(alone.held_out, alone.logits(logits))
