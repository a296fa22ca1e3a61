import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from sklearn.metrics import accuracy_score, roc_auc_score

from dfk.errors import UserError
from dfk.evaluation import summary as terminal
from dfk.evaluation.measure import evaluate
from dfk.evaluation.records import Scores
from dfk.evaluation.robustness import area, robustness, summary
from dfk.images.corruptions import CORRUPTIONS

GRID = {
    name: replace(CORRUPTIONS[name], levels=levels)
    for name, levels in {
        "jpeg": (50,),
        "darker": (0.95, 0.2),
        "gaussian_noise": (0.1,),
    }.items()
}


@pytest.fixture(scope="module")
def measured(evaluated, faces, tmp_path_factory):
    """A run, its data, and the record of a small grid."""
    run = tmp_path_factory.mktemp("robustness") / "run"
    shutil.copytree(evaluated[0], run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dfk.evaluation.measure.BATCH_SIZE", 5)
        return run, faces, robustness(run, grid=GRID)


def test_a_later_evaluation_keeps_the_grid_of_the_same_images(
    measured, tmp_path, capsys
):
    original, _, record = measured
    run = shutil.copytree(original, tmp_path / "copy")
    assert evaluate(run)["robustness"] == record
    results = json.loads((run / "results.json").read_text())
    results["evaluation"]["faces-test"]["data_version"] = "another"
    (run / "results.json").write_text(json.dumps(results))
    assert "robustness" not in evaluate(run)
    assert "have changed: what --robustness measured" in capsys.readouterr().out


def scores(labels, probabilities):
    labels = np.array(labels)
    ids = np.arange(len(labels)).astype(str)
    known = np.zeros(len(labels), np.float32)
    probabilities = np.float32(probabilities)
    unsure = (probabilities >= 0.4) & (probabilities <= 0.6)
    decided = np.where(probabilities > 0.5, "fake", "real")
    verdicts = np.where(unsure, "uncertain", decided)
    none = np.full(len(ids), "")
    return Scores(ids, ids, labels, probabilities, known, verdicts, none, none)


def corrupted(folder, name, level):
    """The pixels and labels of the test split, without the pipeline."""
    paths = sorted((folder / "test").glob("*/*.png"))
    pixels = [
        CORRUPTIONS[name].apply(
            np.asarray(Image.open(path)),
            level,
            path.relative_to(folder).as_posix(),
        )
        for path in paths
    ]
    return np.stack(pixels), np.array([p.parent.name == "fake" for p in paths])


@pytest.mark.parametrize(
    ("name", "index"), [("darker", 0), ("darker", 1), ("gaussian_noise", 0)]
)
def test_cells_are_what_scikit_learn_says(measured, detector, name, index):
    _, folder, record = measured
    cell = record["corruptions"][name]["cells"][index]
    pixels, labels = corrupted(folder, name, cell["level"])
    expected = np.asarray(detector(pixels.astype(np.float32)))[:, 0]
    assert cell["accuracy"] == accuracy_score(labels, expected > 0.5)
    assert cell["roc_auc"] == pytest.approx(roc_auc_score(labels, expected))
    uncertain = (expected >= 0.4) & (expected <= 0.6)
    assert cell["uncertain"] == np.mean(uncertain)
    wrong = ~uncertain & ((expected > 0.5) != labels)
    assert cell["wrong"] == np.mean(wrong)


def test_in_the_dark_every_fake_is_called_real(measured):
    _, _, record = measured
    assert record["clean"]["accuracy"] == 1
    worst = record["worst"]
    assert (worst["corruption"], worst["level"]) == ("darker", 0.2)
    assert (worst["accuracy"], worst["roc_auc"]) == (0.5, 1)


def test_the_area_is_a_trapezoid_of_width_one():
    assert area([1.0, 0.8]) == pytest.approx(0.9)
    assert area([1.0, 0.8, 0.0]) == pytest.approx((0.5 + 0.8 + 0) / 2)
    assert area([0.7] * 5) == pytest.approx(0.7)
    assert area([1.0, None, 0.8]) is None


def test_the_score_is_the_mean_area_of_balanced_accuracy():
    labels = [0, 0, 0, 1]
    clean = scores(labels, [0.1, 0.2, 0.3, 0.9])
    cells = {
        ("jpeg", 50): scores(labels, [0.1, 0.2, 0.9, 0.9]),  # 2/3 and 1
        ("darker", 0.95): scores(labels, [0.1, 0.2, 0.3, 0.4]),  # 1 and 0
        ("darker", 0.2): scores(labels, [0.9, 0.9, 0.9, 0.1]),  # 0 and 0
        ("gaussian_noise", 0.1): clean,
    }
    record = summary(clean, cells, GRID)
    jpeg = (1 + 5 / 6) / 2
    darker = (1 / 2 + 1 / 2 + 0) / 2
    areas = [
        corruption["area"]["balanced_accuracy"]
        for corruption in record["corruptions"].values()
    ]
    assert areas == pytest.approx([jpeg, darker, 1])
    assert record["score"] == pytest.approx(np.mean([jpeg, darker, 1]))
    assert record["worst"]["accuracy"] == 0
    row = record["corruptions"]["darker"]["cells"][0]
    assert (row["uncertain"], row["wrong"]) == (0.25, 0)


def test_one_class_has_accuracies_but_no_score():
    fakes = scores([1, 1], [0.9, 0.2])
    cells = {
        (c.name, level): fakes for c in GRID.values() for level in c.levels
    }
    record = summary(fakes, cells, GRID)
    assert record["score"] is None
    assert record["clean"]["roc_auc"] is None
    assert record["corruptions"]["jpeg"]["area"] == {
        "accuracy": 0.5,
        "balanced_accuracy": None,
        "roc_auc": None,
    }


def test_the_record_joins_the_evaluation(measured):
    run, _, record = measured
    assert record["score"] is None
    results = json.loads((run / "results.json").read_text())
    assert results["evaluation"]["faces-test"]["robustness"] == record
    assert "metrics" in results["evaluation"]["faces-test"]
    assert record["command"] == (
        f"python -m dfk.evaluate {os.path.relpath(run)} --split=test "
        "--robustness --corruptions=jpeg,darker,gaussian_noise"
    )
    assert record["files"] == [
        "results.json",
        "robustness-faces-test.csv",
        "plots/robustness-faces-test.png",
    ]
    with Image.open(run / record["files"][2]) as image:
        assert (image.format, image.width) == ("PNG", 960)
    assert not list(run.rglob("*.partial"))


def test_every_cell_is_a_row(measured):
    run, _, record = measured
    with (run / "robustness-faces-test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["corruption"], row["level"]) for row in rows] == [
        ("clean", ""),
        ("jpeg", "50"),
        ("darker", "0.95"),
        ("darker", "0.2"),
        ("gaussian_noise", "0.1"),
    ]
    cell = record["corruptions"]["darker"]["cells"][1]
    for name in ("accuracy", "roc_auc", "calibration_error", "wrong"):
        assert float(rows[3][name]) == pytest.approx(cell[name])


def test_neither_batches_nor_repetition_change_it(measured, tmp_path):
    original, _, record = measured
    again = robustness(shutil.copytree(original, tmp_path / "copy"), grid=GRID)
    for name, corruption in record["corruptions"].items():
        for cell, same in zip(
            corruption["cells"],
            again["corruptions"][name]["cells"],
            strict=True,
        ):
            assert same == pytest.approx(cell)


def test_more_than_fits_in_memory_is_kept_on_disk(
    measured, tmp_path, monkeypatch
):
    original, _, record = measured
    run = shutil.copytree(original, tmp_path / "copy")
    monkeypatch.setattr("dfk.data.faces.MEMORY_LIMIT", 0)
    monkeypatch.setattr("dfk.evaluation.measure.BATCH_SIZE", 5)
    jpeg = {"jpeg": GRID["jpeg"]}
    again = robustness(run, grid=jpeg)
    assert again["corruptions"]["jpeg"] == record["corruptions"]["jpeg"]


def test_a_split_must_have_been_evaluated(make_run, faces):
    with pytest.raises(UserError, match=r"not been evaluated: run `python -m"):
        robustness(make_run(faces), grid=GRID)


def test_the_whole_grid_has_a_score_and_is_printed(evaluated_run, capsys):
    record = robustness(evaluated_run)
    areas = [
        corruption["area"]["balanced_accuracy"]
        for corruption in record["corruptions"].values()
    ]
    assert record["score"] == pytest.approx(np.mean(areas))
    table = evaluated_run / "robustness-faces-test.csv"
    assert len(table.read_text().splitlines()) == 1 + 1 + 42
    terminal.show_robustness(Console(width=120), record)
    printed = capsys.readouterr().out
    assert "accuracy, which is 100% when clean" in printed
    assert all(name in printed for name in CORRUPTIONS)
    assert f"Robustness score {record['score']:.3f}" in printed
    assert f"Worst is {record['worst']['corruption']}" in printed


def evaluate_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dfk.evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_corruptions_are_chosen_by_name(make_run, faces):
    run = make_run(faces)
    done = evaluate_command(run, "--robustness", "--corruptions=webp,blur")
    assert done.returncode == 0, done.stderr
    assert "No robustness score" in done.stdout
    table = (run / "robustness-faces-test.csv").read_text()
    names = [row.partition(",")[0] for row in table.splitlines()[1:]]
    assert names == ["clean", *["webp"] * 3, *["blur"] * 3]


def test_an_unknown_corruption_is_named_at_once():
    done = evaluate_command("runs/x", "--robustness", "--corruptions=fog")
    assert done.returncode == 1
    assert "'fog', which does not exist" in done.stderr
    assert "jpeg, webp" in done.stderr
