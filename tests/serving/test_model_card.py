import json

import yaml
from tiny import save_run

from dfk import models
from dfk.runs import Run
from dfk.serving.export import write_card
from dfk.serving.footprint import Footprint


def card_of(run, detector, tmp_path, **measured):
    write_card(tmp_path / "card.md", run, detector, "mine", **measured)
    text = (tmp_path / "card.md").read_text()
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def evaluated(detector, folder):
    """A run with an evaluation whose numbers appear nowhere else."""
    save_run(detector, folder)
    run = Run(folder)
    run.write_config({"model": "tiny", "weights": "/home/me/weights.h5"})
    metric = {"value": 0.8768, "low": 0.8123, "high": 0.9234}
    names = ("accuracy", "roc_auc", "eer", "brier")
    verdict = {"images": 9, "uncertain": 0.111, "accuracy": 1, "wrong": 0.222}
    record = {
        "dataset": None,
        "data_dir": '/home/me/faces: a "test"',
        "split": "test",
        "images": 1234,
        "groups": 99,
        "threshold": 0.5,
        "metrics": dict.fromkeys(names, metric),
        "verdicts": dict.fromkeys(("real", "fake", "all"), verdict),
        "operating_points": [{"rate": 0.01, "threshold": None, "required": 99}],
        "reliability": {"error": 0.0321, "error_by_chance": {"mean": 0.0222}},
        "command": """dfk.evaluate '--data_dir=/home/me/faces: a "test"'""",
        "machine": "a machine",
        "time": "now",
    }
    run.results_path.write_text(
        json.dumps({"evaluation": {"faces-test": record}})
    )
    return run


def test_the_card_says_what_was_measured(detector, tmp_path):
    front, body = card_of(
        evaluated(detector, tmp_path / "run"), detector, tmp_path
    )
    (result,) = front["model-index"][0]["results"]
    assert front["model-index"][0]["name"] == "mine"
    assert result["dataset"]["type"] == 'faces: a "test"'
    assert {m["type"]: m["value"] for m in result["metrics"]} == {
        "accuracy": 0.8768,
        "roc_auc": 0.8768,
        "brier": 0.8768,
    }
    assert "87.7 % (81.2 % to 92.3 %)" in body
    assert "1,234 pictures in 99 groups" in body
    assert """`dfk.evaluate '--data_dir=faces: a "test"'`""" in body
    assert "`weights.h5`" in body
    assert "/home/me" not in body


def test_a_card_without_measurements_says_so(run, detector, tmp_path):
    front, body = card_of(Run(run), detector, tmp_path)
    assert front["model-index"][0]["results"] == []
    assert "Do not deploy what nobody has measured" in body
    assert f"dfk.evaluate {run.name}`" in body


def test_a_card_says_that_validation_was_too_small(run, detector, tmp_path):
    _, body = card_of(Run(run), detector, tmp_path)
    assert models.score_layer(detector).calibration.images == (0, 0)
    assert "too few for a guarantee" in body
    assert "it takes 19 of each" in body


def test_a_card_says_how_much_memory_serving_takes(run, detector, tmp_path):
    _, body = card_of(
        Run(run), detector, tmp_path, memory=Footprint(670, 1526, 2018)
    )
    assert "At most 1,526 MiB in a Python process" in body
    assert "of which 670 MiB are without" in body
    assert "2,018 MiB with a\nsecond version" in body


def test_a_card_says_nothing_of_memory_that_was_not_measured(
    run, detector, tmp_path
):
    assert "MiB" not in card_of(Run(run), detector, tmp_path)[1]


def test_an_export_has_its_card(place):
    card = place / "saved_models" / "tiny" / "1" / "MODEL_CARD.md"
    assert card.read_text().startswith("---\n")
