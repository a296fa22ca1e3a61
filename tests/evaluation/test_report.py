import json
import re

import pytest

from dfk.errors import UserError
from dfk.evaluation.cross import cross_table
from dfk.evaluation.measure import evaluate
from dfk.evaluation.report import write_report
from dfk.evaluation.robustness import robustness
from dfk.images.corruptions import CORRUPTIONS


@pytest.fixture(scope="module")
def swapped(face_folder, swap_labels):
    """Faces whose labels are swapped, so that every score is wrong."""
    return swap_labels(face_folder("faces"), "<b>odd")


def text_of(page):
    return re.sub(r"\s+", " ", page.read_text())


def test_the_page_shows_what_was_recorded(make_run, face_folder, tmp_path):
    run = make_run(face_folder())
    record = evaluate(run)
    page = write_report(run, audits=tmp_path)
    text = text_of(page)
    assert page == run / "report.html"
    assert record["command"] in text
    assert record["machine"] in text
    assert f"{record['metrics']['brier']['value']:.3f}" in text
    assert "None: no picture lies on the wrong side" in text
    assert text.count('<figure class="pair">') == 16
    assert "--robustness</code>" in text
    assert "python -m dfk.audit" in text


def test_it_needs_no_network(make_run, face_folder, tmp_path):
    run = make_run(face_folder())
    evaluate(run)
    page = write_report(run, audits=tmp_path).read_text()
    sources = re.findall(r"(?:src|href)=\"([^\"]{0,30})", page)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "<script" not in page


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


def test_what_else_was_measured_is_shown(make_run, face_folder, tmp_path):
    faces = face_folder()
    run = make_run(faces)
    cross_table([run], [str(faces)])
    robustness(run, grid={"jpeg": CORRUPTIONS["jpeg"]})
    (tmp_path / "audit-faces.json").write_text(
        json.dumps(
            {
                "dataset": str(faces),
                "checks": [
                    {"name": "a check", "verdict": "warning", "sentence": "Hm."}
                ],
            }
        )
    )
    text = text_of(write_report(run, audits=tmp_path))
    assert "all corruptions. Worst is jpeg" in text
    assert "Trained on" in text
    assert "a check" in text
    assert "Not " not in text.split("What happens to pictures")[1]


def test_what_cannot_be_explained_has_a_report(
    make_run, face_folder, tmp_path, monkeypatch
):
    def inexplicable(*_):
        raise UserError("It decides by trees.")

    monkeypatch.setattr("dfk.evaluation.report.heat_maps", inexplicable)
    run = make_run(face_folder())
    evaluate(run)
    text = text_of(write_report(run, audits=tmp_path))
    assert text.count('<figure class="pair">') == 16
    assert text.count("data:image/jpeg") == 16
    assert text.count("It decides by trees.") == 1


def test_files_that_only_look_like_audits_are_left_alone(
    make_run, face_folder, tmp_path
):
    (tmp_path / "audit-folder.json").mkdir()
    (tmp_path / "audit-npm.json").write_text('{"vulnerabilities": 0}')
    (tmp_path / "audit-list.json").write_text("[]")
    (tmp_path / "audit-half.json").write_text("{")
    run = make_run(face_folder())
    evaluate(run)
    assert "python -m dfk.audit" in text_of(write_report(run, audits=tmp_path))


def test_the_runs_own_page_is_written_however_its_data_are_spelled(
    make_run, face_folder, tmp_path
):
    faces = face_folder()
    run = make_run(faces)
    evaluate(run, data_dir=f"{faces}/")
    page = write_report(run, data_dir=f"{faces}/", audits=tmp_path)
    assert page == run / "report.html"


def test_other_data_have_a_page_of_their_own(make_run, face_folder, tmp_path):
    run, other = make_run(face_folder()), face_folder("others")
    evaluate(run, data_dir=str(other))
    page = write_report(run, data_dir=str(other), audits=tmp_path)
    assert page.name == "report-others-test.html"


def test_reals_alone_are_enough(make_run, face_folder, tmp_path):
    run, reals = make_run(face_folder()), face_folder("reals", ("real",))
    evaluate(run, data_dir=str(reals))
    page = write_report(run, data_dir=str(reals), audits=tmp_path)
    assert "No fakes" not in page.read_text()


def test_what_was_not_evaluated_has_no_report(make_run, face_folder):
    run = make_run(face_folder())
    with pytest.raises(UserError, match="has not been evaluated: run `python"):
        write_report(run)
