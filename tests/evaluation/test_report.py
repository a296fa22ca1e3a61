import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image

from dfk.errors import UserError
from dfk.evaluation import measure
from dfk.evaluation.measure import evaluate
from dfk.evaluation.report import by_group, by_size, sides_of, write_report

CORRECT = np.array([True, False, True, False, True])


@pytest.fixture(scope="module")
def swapped(face_folder, swap_labels):
    """Faces whose labels are swapped, so that every score is wrong."""
    return swap_labels(face_folder("faces"), "<b>odd")


def text_of(page):
    return re.sub(r"\s+", " ", page.read_text())


def test_the_page_shows_what_was_recorded(evaluated, evaluated_run, tmp_path):
    _, record = evaluated
    page = write_report(evaluated_run, audits=tmp_path)
    text = text_of(page)
    assert page == evaluated_run / "report.html"
    assert record["command"] in text
    assert record["machine"] in text
    assert f"{record['metrics']['brier']['value']:.3f}" in text
    assert "None: no picture lies on the wrong side" in text
    assert text.count('<figure class="pair">') == 16
    assert "--robustness</code>" in text
    assert "python -m dfk.audit" in text
    # It asks the network for nothing.
    sources = re.findall(r"(?:src|href)=\"([^\"]{0,30})", page.read_text())
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "<script" not in text


def test_mistakes_come_with_their_heat_and_names_are_escaped(
    make_run, swapped, tmp_path
):
    run = make_run(swapped)
    evaluate(run)
    text = text_of(write_report(run, audits=tmp_path))
    mistakes = text.split("The worst mistakes")[1].split("The most uncertain")
    assert mistakes[0].count("data:image/jpeg") == 2 * 16
    assert "<b>odd" not in text
    assert "&lt;b&gt;odd" in text


def test_what_else_was_measured_is_shown(evaluated_run, faces, tmp_path):
    path = evaluated_run / "results.json"
    results = json.loads(path.read_text())
    worst = {"corruption": "jpeg", "level": 50, "unit": "quality"}
    results["evaluation"]["faces-test"]["robustness"] = {
        "score": None,
        "worst": {**worst, "accuracy": 0.625},
    }
    cell = {"dataset": "others", "images": 9, "roc_auc": 0.7, "accuracy": 0.6}
    cell |= {"false_alarms": 0.1, "recall": 0.4, "uncertain": 0.2}
    cells = [{**cell, "transfers": False}]
    results["cross"] = {"trained_on": "the faces", "cells": cells}
    path.write_text(json.dumps(results))
    check = {"name": "a check", "verdict": "warning"}
    audit = {"dataset": "faces", "data_dir": str(faces), "checks": [check]}
    # The latest of these data counts, whatever it is called.
    for name, sentence, change in (
        ("a", "An old one.", {"time": "2026-01-01"}),
        ("b", "Hm.", {"time": "2026-02-01"}),
        ("c", "Others.", {"time": "2026-03-01", "data_dir": "/x/faces"}),
    ):
        checks = [check | {"sentence": sentence}]
        (tmp_path / f"audit-{name}.json").write_text(
            json.dumps(audit | change | {"checks": checks})
        )
    text = text_of(write_report(evaluated_run, audits=tmp_path))
    assert "all corruptions. Worst is jpeg at 50 (quality)" in text
    assert "60.0 % !" in text
    assert "Trained on the faces" in text
    assert "Hm." in text
    assert "An old one" not in text
    assert "Others" not in text
    assert "Not measured" not in text
    assert "Not audited" not in text


def test_a_page_has_no_paths_of_this_machine(make_run, faces, tmp_path):
    run = make_run(faces)
    config = json.loads((run / "config.json").read_text())
    config |= {"weights": "/home/me/w.h5", "runs": ["/home/me/a"]}
    (run / "config.json").write_text(json.dumps(config))
    record = evaluate(run)
    cell = {"dataset": "/home/me/others", "images": 9, "roc_auc": 0.7}
    cell |= {"accuracy": 0.6, "transfers": True}
    cell |= {"false_alarms": 0.1, "recall": 0.4, "uncertain": 0.2}
    results = json.loads((run / "results.json").read_text())
    results["cross"] = {"trained_on": str(faces), "cells": [cell]}
    # As dfk wrote it earlier.
    command = f"{record['command']} --data_dir={faces}"
    results["evaluation"]["faces-test"]["command"] = command
    (run / "results.json").write_text(json.dumps(results))
    text = text_of(write_report(run, audits=tmp_path))
    assert "--data_dir=faces" in text
    assert "w.h5" in text
    assert "others" in text
    folders = {str(faces.parent), str(run.parent), "/home/me"}
    assert not [
        folder
        for folder in folders
        if f"{folder}/" in re.sub(r"\.\./[^< ]*", "", text)
    ]


def test_images_that_are_not_shown_are_not_decoded(
    evaluated_run, tmp_path, monkeypatch
):
    load_split = measure.load_split

    def nothing_else(*arguments):
        split = load_split(*arguments)
        return dataclasses.replace(split, examples=split.examples.take(0))

    monkeypatch.setattr(measure, "load_split", nothing_else)
    text = text_of(write_report(evaluated_run, audits=tmp_path))
    assert text.count('<figure class="pair">') == 16


def test_what_cannot_be_explained_has_a_report(
    evaluated_run, tmp_path, monkeypatch
):
    def unexplained(*_):
        raise UserError("It decides by trees.")

    monkeypatch.setattr("dfk.evaluation.report.heat_maps", unexplained)
    text = text_of(write_report(evaluated_run, audits=tmp_path))
    assert text.count('<figure class="pair">') == 16
    assert text.count("data:image/jpeg") == 16
    assert text.count("It decides by trees.") == 1


def test_other_files_called_audits_are_ignored_and_folders_may_be_spelled(
    evaluated_run, faces, tmp_path
):
    (tmp_path / "audit-folder.json").mkdir()
    (tmp_path / "audit-npm.json").write_text('{"vulnerabilities": 0}')
    (tmp_path / "audit-list.json").write_text("[]")
    (tmp_path / "audit-half.json").write_text("{")
    page = write_report(evaluated_run, data_dir=f"{faces}/", audits=tmp_path)
    assert page == evaluated_run / "report.html"
    assert "python -m dfk.audit" in text_of(page)


def test_other_data_have_a_page_of_their_own_even_of_one_class(
    evaluated_run, face_folder, tmp_path
):
    reals = str(face_folder("reals", ("real",)))
    evaluate(evaluated_run, data_dir=reals)
    page = write_report(evaluated_run, data_dir=reals, audits=tmp_path)
    assert page.name == "report-reals-test.html"
    assert "8 pictures" in text_of(page)


def test_what_was_not_evaluated_has_no_report(make_run, faces):
    with pytest.raises(UserError, match="has not been evaluated: run `python"):
        write_report(make_run(faces))


def test_the_worst_groups_come_first():
    groups = np.array(["ann", "bob", "ann", "bob", "single"])
    assert by_group(groups, CORRECT) == [
        {"name": "bob", "images": 2, "accuracy": 0.0},
        {"name": "ann", "images": 2, "accuracy": 1.0},
    ]


def test_sizes_are_put_together_by_quartiles():
    sides = np.array([64, 64, 128, 256, 512])
    rows = by_size(sides, CORRECT)
    assert [(r["low"], r["high"], r["images"]) for r in rows] == [
        (64, 64, 2),
        (128, 128, 1),
        (256, 256, 1),
        (512, 512, 1),
    ]
    assert [r["accuracy"] for r in rows] == [0.5, 1.0, 0.0, 1.0]


def test_equal_sizes_are_one_row():
    (row,) = by_size(np.full(5, 256), CORRECT)
    assert (row["low"], row["high"], row["accuracy"]) == (256, 256, 0.6)


def test_the_shorter_side_counts(tmp_path):
    (tmp_path / "test" / "real").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(tmp_path / "test" / "real" / "a.png")
    ids = np.array(["test/real/a.png"])
    assert sides_of(str(tmp_path), ids).tolist() == [20]
    assert sides_of(str(tmp_path), np.array(["gone.png"])) is None


def test_sides_that_pillow_cannot_read_are_not_known(tmp_path):
    (tmp_path / "a.png").write_bytes(b"what TensorFlow may read all the same")
    assert sides_of(str(tmp_path), np.array(["a.png"])) is None
