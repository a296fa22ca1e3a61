"""Several seeds of the small detector, without its fine-tuning to be quick."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from dfk import models, runs
from dfk.errors import UserError
from dfk.files import exclusive_lock
from dfk.training import train as single
from dfk.training.config import Config
from dfk.training.repeats import train


@pytest.fixture(scope="module")
def config(faces_dir):
    return Config(
        "small", data_dir=str(faces_dir), image_size=32, unfreeze="none"
    )


@pytest.fixture(scope="module")
def folder(config, small, tmp_path_factory):
    return train(config, 2, str(tmp_path_factory.mktemp("runs") / "small"))


def test_every_seed_gives_the_same_as_a_single_run(folder, config, tmp_path):
    assert [path.name for path in runs.seeds(folder)] == ["seed-0", "seed-1"]
    one = dataclasses.replace(config, seed=1)
    run = single.train(one, str(tmp_path / "one"))
    assert run.config == runs.Run(folder / "seed-1").config
    for ours, theirs in zip(
        models.load(folder / "seed-1").get_weights(),
        models.load(run.path).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_mean_and_range_of_validation_are_reported(folder):
    record = json.loads((folder / "repeats.json").read_text())
    assert record["config"]["model"] == "small"
    values = [run["roc_auc"] for run in record["runs"].values()]
    assert len(set(values)) == 2
    assert record["validation"]["roc_auc"] == {
        "mean": pytest.approx(np.mean(values)),
        "min": min(values),
        "max": max(values),
    }


def test_a_stopped_command_goes_on_where_it_stopped(
    config, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    def stopped(config, workdir):
        if config.seed == 1:
            raise KeyboardInterrupt
        shutil.copytree(folder / "seed-0", workdir)

    with monkeypatch.context() as patch:
        patch.setattr(single, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(config, 2)
    (unfinished,) = (tmp_path / "runs").iterdir()
    assert not (unfinished / "seed-1").exists()
    first = (unfinished / "seed-0/model.keras").stat().st_mtime_ns
    # The same folder of images, spelled differently.
    again = dataclasses.replace(config, data_dir=f"{config.data_dir}/")
    assert train(again, 2).resolve() == unfinished
    assert (unfinished / "seed-0/model.keras").stat().st_mtime_ns == first
    ours = json.loads((unfinished / "repeats.json").read_text())
    assert ours == json.loads((folder / "repeats.json").read_text())


@pytest.mark.parametrize("use", [runs.Run.finished, models.load])
def test_what_takes_one_run_names_one_of_the_repeats(folder, use):
    with pytest.raises(UserError, match=r"holds 2 runs.*such as .*/seed-0\."):
        use(folder)


def test_repeats_that_were_stopped_are_not_finished(folder, tmp_path):
    stopped = tmp_path / "stopped"
    shutil.copytree(folder, stopped)
    shutil.rmtree(stopped / "seed-1")
    with pytest.raises(UserError, match=r"not finished, as seed-1 shows"):
        runs.finished([stopped])


def test_a_seed_that_lost_its_results_is_named(config, folder, tmp_path):
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "seed-1/results.json").unlink()
    with pytest.raises(UserError, match=r"seed-1 has lost .*: delete that"):
        train(config, 2, str(damaged))


def test_single_runs_and_repeats_do_not_mix(folder, config):
    with pytest.raises(UserError, match="holds 2 repeats: pass --repeats=2"):
        train(config, 1, str(folder))
    with pytest.raises(UserError, match="holds a single run"):
        train(config, 2, str(folder / "seed-0"))
    other = dataclasses.replace(config, image_size=40)
    with pytest.raises(UserError, match="image_size 32, not 40"):
        train(other, 2, str(folder))


def test_a_mistake_leaves_nothing_behind(config, tmp_path):
    lost = dataclasses.replace(config, data_dir="nowhere")
    with pytest.raises(UserError, match="nowhere"):
        train(lost, 2, str(tmp_path / "run"))
    assert not list(tmp_path.iterdir())


def test_repeats_are_trained_by_one_process(
    config, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    begun = tmp_path / "runs/begun"
    begun.mkdir(parents=True)
    record = json.loads((folder / "repeats.json").read_text())
    del record["validation"], record["runs"]
    (begun / "repeats.json").write_text(json.dumps(record))
    with exclusive_lock(begun):
        with pytest.raises(UserError, match="Another process"):
            train(config, 5, str(begun))
        assert json.loads((begun / "repeats.json").read_text()) == record
        # Without a folder's name, the other process's is left to it.
        monkeypatch.setattr(single, "train", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, 2)
    names = {path.name for path in begun.iterdir()}
    assert names == {".lock", "repeats.json"}
