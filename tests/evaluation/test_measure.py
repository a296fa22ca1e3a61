import csv
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from dfk.errors import UserError
from dfk.evaluation import records
from dfk.evaluation.measure import evaluate
from dfk.evaluation.metrics import TITLES
from dfk.evaluation.records import Source
from dfk.runs import Run


@pytest.fixture
def run(make_run, faces):
    return make_run(faces)


def evaluations(run):
    return json.loads((run / "results.json").read_text())["evaluation"]


def test_a_run_is_measured_on_its_own_test_split(evaluated):
    run, record = evaluated
    assert evaluations(run) == {"faces-test": record}
    assert record["split"] == "test"
    assert (record["images"], record["groups"]) == (16, 16)
    assert set(record["metrics"]) == set(TITLES)
    perfect = {"value": 1.0, "low": 1.0, "high": 1.0}
    assert record["metrics"]["roc_auc"] == pytest.approx(perfect)
    assert record["confusion"]["fake"] == {"real": 0, "fake": 8}
    assert record["verdicts"]["all"]["wrong"] == 0
    assert record["calibration"]["temperature"] == 2.0
    assert record["calibration"]["real_up_to"] == pytest.approx(0.6)
    assert record["calibration"]["alarms"] == [1.0] * 7
    assert record["out_of_distribution"] == 0.0


def test_the_record_says_where_its_numbers_come_from(evaluated):
    run, record = evaluated
    path = os.path.relpath(run)
    assert record["command"] == f"python -m dfk.evaluate {path} --split=test"
    assert set(record["versions"]) == {"python", "dfk", "tensorflow", "keras"}
    assert re.search(r", [1-9]\d* cores?$", record["machine"])
    assert record["time"].endswith("+00:00")
    assert (record["seed"], record["threshold"]) == (0, 0.5)


def test_a_command_names_other_data_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    several = Run("runs/several")
    tfds = "real_fake_faces/sample,real_fake_faces/kaggle"
    several.write_config({"model": "cnn", "dataset": tfds, "data_dir": None})
    own = records.source_of(several, None, None, "test")
    # With --dataset=A,B it would be a cross table instead.
    evaluate_it = "python -m dfk.evaluate runs/several"
    assert records.command([several], own) == f"{evaluate_it} --split=test"
    for place, flag in (
        ("a b", "'--data_dir=a b'"),
        (f"{tmp_path.parent}/c,d", "--data_dir=../c,d"),
    ):
        other = Source.named(None, place, "train")
        assert records.command([several], other) == (
            f"{evaluate_it} {flag} --split=train"
        )


def test_every_file_named_is_there(evaluated):
    run, record = evaluated
    assert set(record["files"]) == {
        "results.json",
        "scores-faces-test.csv",
        "plots/confusion-faces-test.png",
        "plots/precision-recall-faces-test.png",
        "plots/reliability-faces-test.png",
        "plots/roc-faces-test.png",
        "plots/scores-faces-test.png",
    }
    assert all((run / name).is_file() for name in record["files"])
    assert not list(run.rglob("*.partial"))


def test_the_scores_of_every_image_are_listed(evaluated):
    run, _ = evaluated
    with (run / "scores-faces-test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    for row in rows:
        score = float(row["fake_probability"])
        assert row["label"] == ("fake" if score > 0.5 else "real")
        decided = "real" if score < 0.4 else "fake" if score > 0.6 else None
        assert row["verdict"] == (decided or "uncertain")
        assert row["label"] in row["id"]


def test_measuring_again_replaces_itself_with_the_same_numbers(
    evaluated, tmp_path
):
    original, record = evaluated
    run = shutil.copytree(original, tmp_path / "copy")
    assert evaluate(run)["metrics"] == record["metrics"]
    assert list(evaluations(run)) == ["faces-test"]


def test_what_others_wrote_is_kept(run):
    earlier = {
        "training": {"epochs": 3},
        "evaluation": {"faces-test": {"data_dir": "/another/faces"}},
    }
    (run / "results.json").write_text(json.dumps(earlier))
    record = evaluate(run)
    earlier["evaluation"]["faces-2-test"] = record
    assert json.loads((run / "results.json").read_text()) == earlier
    assert "scores-faces-2-test.csv" in record["files"]


def test_an_unfinished_run_is_refused(run):
    (run / "model.keras").unlink()
    with pytest.raises(UserError, match="has not finished"):
        evaluate(run)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dfk.evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_command_prints_the_record(run):
    done = command(run)
    assert done.returncode == 0, done.stderr
    for words in (
        "16 pictures in 16 groups",
        "above a probability of 0.5",
        "equal error rate",
        "1.000 to 1.000",
        "plots/roc-faces-test.png",
    ):
        assert words in done.stdout


def test_a_wrong_path_is_one_sentence(tmp_path):
    done = command(tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: No run at")
    assert done.stderr.count("\n") == 1


def test_help_does_not_import_tensorflow():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dfk.evaluate", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Measures how good" in done.stdout
    assert "tensorflow" not in done.stderr
