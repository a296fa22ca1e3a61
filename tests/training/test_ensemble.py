"""The fit of an ensemble's weights, and runs combined into one."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

import dfk
from dfk import models
from dfk.errors import UserError
from dfk.evaluation.measure import score_split
from dfk.models.head import assemble
from dfk.runs import Run
from dfk.training import ensemble
from dfk.training.ensemble import fit, fit_ensemble, held_out_logits, measure

SIZE = 32


def members(separations, count=100, seed=0, correlation=0.3):
    """Logits whose scale is wrong, of members that partly err together."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    shared = correlation**0.5 * generator.normal(size=count)
    columns = [
        4 * (separation * (labels - 0.5) + shared)
        + 4 * (1 - correlation) ** 0.5 * generator.normal(size=count)
        for separation in separations
    ]
    return np.stack(columns, axis=1), labels


def test_one_member_is_scaled_to_log_odds():
    generator = np.random.default_rng(0)
    labels = np.arange(20_000) % 2
    # Two unit normals 2 apart have log-odds of 2 x.
    x = generator.normal(2.0 * (labels - 0.5))
    stack = fit(10 * x[:, None], labels)
    assert stack.weights[0] == pytest.approx(0.2, abs=0.01)
    assert stack.bias == pytest.approx(0.0, abs=0.05)


def test_a_member_that_separates_the_classes_stays_moderate():
    # Platt's target for 50 images of a class is 51/52, whose logit is log 51.
    labels = np.arange(100) % 2
    stack = fit(5.0 * (2 * labels[:, None] - 1), labels)
    assert stack.weights[0] == pytest.approx(np.log(51) / 5, rel=1e-3)
    assert stack.bias == pytest.approx(0, abs=1e-3)


def test_copies_of_one_member_share_alike_and_change_nothing():
    logits, labels = members([2.0])
    twice = np.repeat(logits, 2, axis=1)
    single, both = fit(logits, labels), fit(twice, labels)
    np.testing.assert_allclose(both.shares(twice), 0.5, atol=1e-3)
    np.testing.assert_allclose(both(twice), single(logits), atol=0.1)


def test_the_scale_of_a_member_does_not_matter():
    logits, labels = members([2.4, 2.0])
    quieter = logits * [1.0, 0.25]
    np.testing.assert_allclose(
        fit(quieter, labels)(quieter), fit(logits, labels)(logits), atol=1e-2
    )


def test_a_member_that_knows_nothing_or_the_opposite_hardly_counts():
    logits, labels = members([2.8, 0.0, -2.0], correlation=0.0)
    stack = fit(logits, labels)
    assert np.all(stack.weights > 0)
    assert stack.shares(logits)[0] > 0.8


def test_members_that_err_differently_are_better_together():
    logits, labels = members([2.4, 2.4, 2.4])
    unseen, truth = members([2.4, 2.4, 2.4], count=4000, seed=99)
    losses = [
        log_loss(truth, expit(fit(logits[:, :k], labels)(unseen[:, :k])))
        for k in (1, 3)
    ]
    assert losses[1] < 0.8 * losses[0]


def test_images_of_one_group_are_held_out_together():
    labels = np.arange(40) % 2
    groups = np.repeat(np.arange(20), 2) // 2 * 2 + labels
    # All of a group have the same logit, which is wrong for every group. Who
    # had seen one image of it would know the others.
    logits = np.random.default_rng(0).normal(size=groups.max() + 1)[groups]
    held_out = held_out_logits(logits[:, None], labels, groups)
    for group in np.unique(groups):
        assert len(np.unique(held_out[groups == group].round(9))) == 1


def test_one_group_of_a_class_is_too_few():
    with pytest.raises(UserError, match="at least two groups"):
        held_out_logits(
            np.zeros((4, 1)), np.array([0, 0, 1, 1]), np.array([1, 2, 3, 3])
        )


def test_many_useless_members_are_not_flattered_by_what_they_were_fitted_on(
    monkeypatch,
):
    # More divisions into folds are steadier, and take longer.
    monkeypatch.setattr(ensemble, "REPEATS", 1)
    honest, flattered = [], []
    for seed in range(3):
        logits, labels = members([0.0] * 12, correlation=0.0, seed=seed)
        held_out = held_out_logits(logits, labels, np.arange(100))
        honest.append(measure(held_out, labels)["roc_auc"])
        flattered.append(roc_auc_score(labels, fit(logits, labels)(logits)))
    assert np.mean(flattered) > 0.55
    assert np.mean(honest) < 0.5


def save_run(folder, data_dir, seed, size=SIZE):
    """A run whose detector has random weights."""
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Conv2D(4, 3, activation="relu", name="conv")
    rescale = keras.layers.Rescaling(1 / 255)
    detector = assemble("tiny", size, lambda images: [layer(rescale(images))])
    folder.mkdir(parents=True)
    config = {
        **{"model": "tiny", "format": dfk.FORMAT, "dataset": None},
        **{"data_dir": str(data_dir), "limit": None, "image_size": size},
    }
    (folder / "config.json").write_text(json.dumps(config))
    detector.save(folder / "model.keras")
    return Run(folder)


@pytest.fixture(scope="module")
def faces(tmp_path_factory, write_faces):
    """Without a test split, which is not to be touched."""
    folder = tmp_path_factory.mktemp("ensemble") / "faces"
    write_faces(folder, {"train": 24, "valid": 20})
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, faces):
    place = tmp_path_factory.mktemp("runs")
    return [save_run(place / f"run{n}", faces, seed=n) for n in (1, 2)]


@pytest.fixture(scope="module")
def made(runs, faces, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "ensemble"
    return fit_ensemble(runs, None, str(faces), workdir=workdir)


def test_an_ensemble_is_a_run_with_the_weighted_sum_of_its_members(made, runs):
    run, record = made
    images = np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3))
    detector = models.load(run.path)
    weights, (bias,) = detector.get_layer("logit").get_weights()
    expected = bias + sum(
        weight * models.logit_model(models.load(member.path))(images)
        for weight, member in zip(weights[:, 0], runs, strict=True)
    )
    logits = models.logit_model(detector)(images)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert np.all(weights > 0)
    assert sum(m["share"] for m in record["members"]) == pytest.approx(1)
    assert run.config["runs"] == [str(member.path) for member in runs]
    assert run.results["ensemble"]["members"] == record["members"]


def test_an_ensemble_is_calibrated_on_what_was_held_out(made, faces):
    run, record = made
    detector = models.load(run.path)
    (split,) = dfk.data.load(
        data_dir=str(faces), image_size=SIZE, splits=["validation"]
    ).splits.values()
    scores = score_split(detector, split)
    known = log_loss(scores.labels, scores.probabilities)
    # Less sure than the fit to the same images would be.
    assert record["ensemble"]["log_loss"] > known
    assert models.score_layer(detector).calibration.images == (20, 20)
    assert np.isfinite(scores.ood_score).all()


def test_each_data_set_has_its_limits(
    runs, faces, write_faces, tmp_path, monkeypatch
):
    write_faces(tmp_path / "few", {"train": 12, "valid": 6})
    given = []
    fit = ensemble.calibration.fit

    def spy(logits, labels, **options):
        given.append(options["sources"].tolist())
        return fit(logits, labels, **options)

    monkeypatch.setattr(ensemble.calibration, "fit", spy)
    both = f"{faces},{tmp_path / 'few'}"
    fit_ensemble(runs, None, both, workdir=tmp_path / "run")
    assert given == [[0] * 40 + [1] * 12]


def test_a_folder_that_holds_a_run_is_left_alone(made, runs, faces):
    run, _ = made
    with pytest.raises(UserError, match="holds a run already"):
        fit_ensemble(runs, None, str(faces), workdir=run.path)


def test_detectors_of_different_sizes_are_refused(runs, faces, tmp_path):
    odd = save_run(tmp_path / "odd", faces, seed=3, size=48)
    with pytest.raises(UserError, match="one image size"):
        fit_ensemble([runs[0], odd], None, str(faces), workdir=tmp_path)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dfk.ensemble", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_command_combines_an_ensemble_with_another_run(
    made, runs, faces, tmp_path
):
    other = save_run(tmp_path / "other", faces, seed=3)
    result = command(
        made[0].path, other.path, f"--workdir={tmp_path / 'larger'}"
    )
    assert result.returncode == 0, result.stderr
    assert "validation, 40 pictures" in result.stdout
    assert f"Next: python -m dfk.evaluate {tmp_path}" in result.stdout
    larger = models.load(tmp_path / "larger")
    assert len(larger.get_layer("logit").get_weights()[0]) == 3


def test_a_single_run_and_runs_of_different_data_are_refused(runs, tmp_path):
    result = command(runs[0].path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: An ensemble needs two runs")
    other = save_run(tmp_path / "other", tmp_path / "faces", seed=3)
    result = command(runs[0].path, other.path)
    assert result.stderr.startswith("error: The runs were trained on different")
