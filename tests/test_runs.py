"""Folders of runs in which a file is damaged."""

import json
import zipfile

import pytest

from dfk import files, runs
from dfk.errors import UserError
from dfk.runs import Run

DAMAGED = [b"", b'{"model": "cn', b"[]", b"null", b"\xff\xfe\x00", b"{}"]


@pytest.fixture
def run(tmp_path):
    made = Run(tmp_path / "run")
    made.write_config({"model": "cnn"})
    made.results_path.write_text(json.dumps({"training": {}}))
    zipfile.ZipFile(made.model_path, "w").close()
    return made


def test_a_whole_run_is_read(run):
    assert Run.finished(run.path).config["model"] == "cnn"
    assert run.results == {"training": {}}


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_files_are_named_with_a_remedy(run, content):
    run.config_path.write_bytes(content)
    with pytest.raises(UserError, match=r"run/config\.json is .*: put a copy"):
        Run.finished(run.path)
    repeats = run.path / "repeats.json"
    repeats.write_bytes(content)
    with pytest.raises(UserError, match=r"repeats\.json is .*: delete it"):
        runs.seeds(run.path)
    if content != b"{}":
        run.results_path.write_bytes(content)
        with pytest.raises(UserError, match=r"results\.json is .*: delete it"):
            run.results  # noqa: B018


def test_results_are_updated_by_one_process_at_a_time(run):
    with run.updating_results() as results:
        assert files.is_locked(run.path)
        results["evaluation"] = {}
    assert run.results == {"training": {}, "evaluation": {}}
    assert not files.is_locked(run.path)


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_detector_that_was_cut_off_is_not_finished(run, share):
    content = run.model_path.read_bytes()
    run.model_path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"model\.keras is empty or cut off"):
        Run.finished(run.path)
