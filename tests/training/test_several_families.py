"""Several data sets become one detector, with a class for each family."""

import shutil

import numpy as np
import pytest

from dfk import data, models
from dfk.errors import UserError
from dfk.evaluation import leave_one_out as module
from dfk.evaluation.leave_one_out import leave_one_out
from dfk.evaluation.measure import evaluate
from dfk.evaluation.report import write_report
from dfk.training import calibrate
from dfk.training.config import Config
from dfk.training.train import train


@pytest.fixture(scope="module")
def sources(write_faces, tmp_path_factory):
    """Two families of fakes, and reals alone."""
    root = tmp_path_factory.mktemp("sources")
    counts = {"train": 12, "valid": 20}
    for seed, name in enumerate(("grids", "others", "reals")):
        write_faces(root / name, counts, seed=seed)
    for split in counts:
        shutil.rmtree(root / "reals" / split / "fake")
    return ",".join(str(root / name) for name in ("grids", "others", "reals"))


@pytest.fixture(scope="module")
def run(sources, tmp_path_factory):
    config = Config(
        "cnn", data_dir=sources, image_size=40, unfreeze="none", epochs=1
    )
    return train(config, str(tmp_path_factory.mktemp("run") / "run"))


def test_reals_alone_are_a_source_beside_others(sources):
    faces = data.load(None, sources, 40, ("train",))
    assert faces.families == ["grids", "others"]
    with pytest.raises(UserError, match="no fake pictures"):
        data.load(None, sources.rsplit(",", 1)[1], 40, ("train",))


def test_each_family_is_a_class(run):
    detector = models.load(run.path)
    assert detector.get_layer("logit").families == ["grids", "others"]
    assert detector.get_layer("classes").output.shape == (None, 3)
    assert np.any(detector.get_layer("classes").kernel.numpy())
    assert run.config["plan"]["families"] == "grids, others"
    # The split that epochs are drawn from repeats the smaller ones.
    assert run.results["training"]["images"] == 60


def test_limits_rest_on_the_validation_images_of_all_sources(run):
    calibration = models.score_layer(models.load(run.path)).calibration
    assert calibration.images == (60, 40)


@pytest.mark.slow
def test_an_evaluation_tells_them_apart(run):
    record = evaluate(run.path, split="validation")
    names = [row["name"] for row in record["sources"]]
    assert names == ["1-grids", "2-others", "3-reals", "mean"]
    assert [row["images"] for row in record["sources"]] == [40, 40, 20, 100]
    assert "Each data set by itself" in write_report(
        run.path, split="validation"
    ).read_text(encoding="utf-8")


def test_each_family_is_left_out_once(run, capsys):
    record = leave_one_out(run.path)
    assert record["command"].endswith("--split=validation --leave_one_out")
    assert run.results["leave_one_out"]["validation"] == record
    for what in ("fakes", "all"):
        rows = record[what]
        assert [row["name"] for row in rows] == ["1-grids", "2-others", "mean"]
        aucs = [row["values"]["roc_auc"]["value"] for row in rows]
        assert aucs[2] == pytest.approx(np.mean(aucs[:2]))
    assert "features" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_family_left_out_was_not_shown(run, monkeypatch):
    shown = []
    fit = module.fit_to_features

    def spy(model, known, recipe):
        shown.append(
            [
                (s.family, tuple(np.bincount(s.features.labels, minlength=2)))
                for s in known
            ]
        )
        return fit(model, known, recipe)

    monkeypatch.setattr(module, "fit_to_features", spy)
    leave_one_out(run.path)
    others, grids, reals = (
        (name, (12, fakes))
        for name, fakes in (("others", 12), ("grids", 12), ("reals", 0))
    )
    # First without its fakes, then without its reals as well.
    assert shown == [
        [others, reals, ("grids", (12, 0))],
        [others, reals],
        [grids, reals, ("others", (12, 0))],
        [grids, reals],
    ]


@pytest.fixture
def blended(sources, tmp_path, faces_found):
    config = Config(
        "cnn",
        data_dir=sources,
        image_size=40,
        unfreeze="none",
        epochs=1,
        blend=0.5,
        augment=0.5,
    )
    return train(config, str(tmp_path / "blended"))


@pytest.mark.slow
def test_what_is_made_of_images_is_fitted_to_beside_them(blended, monkeypatch):
    families = ["grids", "others", "self-blends"]
    detector = models.load(blended.path)
    assert detector.get_layer("logit").families == families
    # Of 6 reals of each of three data sets, one without a face; and as many
    # that were blended into.
    assert blended.config["plan"]["self_blends"] == 2 * 17
    # Of 24, 24 and 12 images.
    assert blended.config["plan"]["augmented"] == 12 + 12 + 6
    shown = []
    fit = module.fit_to_features

    def spy(model, known, recipe):
        counts = [np.bincount(s.features.labels, minlength=2) for s in known]
        shown.append(
            (
                [source.family for source in known].count("self-blends"),
                sum(fakes for _, fakes in counts),
            )
        )
        return fit(model, known, recipe)

    monkeypatch.setattr(module, "fit_to_features", spy)
    record = leave_one_out(blended.path)
    assert len(record["all"]) == 3
    # The blends of a data set's reals are left out with these, its copies of
    # fakes with the fakes: 12 and 6 are left, and as many fakes as blends.
    blends = [6, 6, 5]
    assert [count for count, _ in shown] == [3, 2] * 2
    assert {shown[0][1] - sum(blends), shown[2][1] - sum(blends)} == {12 + 6}


def test_families_of_one_name_are_refused_before_they_are_trained_on(
    sources, tmp_path
):
    first, second, _ = sources.split(",")
    same = tmp_path / "elsewhere" / "grids"
    shutil.copytree(second, same)
    config = Config("cnn", data_dir=f"{first},{same}", image_size=40)
    with pytest.raises(UserError, match="two are called 'grids'"):
        train(config, str(tmp_path / "run"))


def test_the_training_part_is_nothing_to_leave_out(run):
    with pytest.raises(UserError, match="Received: --split=train"):
        leave_one_out(run.path, "train")


def test_only_several_families_can_be_left_out(sources, tmp_path):
    alone = sources.split(",")[0]
    config = Config(
        "cnn", data_dir=alone, image_size=40, unfreeze="none", epochs=1
    )
    single = train(config, str(tmp_path / "run"))
    with pytest.raises(UserError, match="cannot leave a family out"):
        leave_one_out(single.path)


def test_several_data_sets_leave_fewer_pictures_aside(run):
    clip = models.get("clip")
    assert calibrate.ood_rate(clip, data_sets=1) == 0.05
    assert calibrate.ood_rate(clip, data_sets=2) == 0.01
