"""Runs that cannot be gone on with, since a file of theirs is damaged."""

import dataclasses
import json

import keras
import pytest
from small_detector import RECIPE
from test_loop import Batches

from dfk.errors import UserError
from dfk.files import write_json
from dfk.runs import Run
from dfk.training import repeats, strategies
from dfk.training.loop import FineTuning
from dfk.training.resume import difference, find_run, require_same_images

FILES = (
    "best.weights.npz",
    "checkpoint",
    "ckpt-3.data-00000-of-00001",
    "ckpt-3.index",
    "history.json",
)


def tuning(folder):
    """The training of one layer, for two epochs."""
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(1, activation="sigmoid")(inputs)
    return FineTuning(
        keras.Model(inputs, outputs),
        keras.optimizers.SGD(0.5),
        strategies.choose("one_device"),
        Run(folder),
        dataclasses.replace(RECIPE, epochs=2),
    )


@pytest.fixture
def trained(tmp_path):
    made = tuning(tmp_path)
    made.run(Batches(20), lambda: {"val_auc": 0.5})
    return made


def test_a_whole_checkpoint_is_restored(trained, tmp_path):
    again = tuning(tmp_path)
    assert again.restore()
    assert again.history == trained.history


@pytest.mark.parametrize("file", FILES)
def test_damaged_checkpoints_are_refused(trained, tmp_path, file):
    folder = tmp_path / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    path = folder / file
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b""):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"/checkpoints.*: delete the f"):
            tuning(tmp_path).restore()
    path.unlink()
    with pytest.raises(UserError, match=r"/checkpoints.*: delete the folder"):
        tuning(tmp_path).restore()


def test_damaged_neighbours_do_not_matter(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = config.resolved().settings()
    begun = Run("runs/begun")
    write_json(begun.config_path, settings)
    contents = (b"", b'{"model": "sm', b"[]", b"null", b"\xff\xfe", b"{}")
    for number, content in enumerate(contents):
        for file in ("config.json", "repeats.json"):
            path = tmp_path / f"runs/neighbour{number}" / file
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    assert find_run(settings).path == begun.path
    assert not list(repeats._unfinished(settings, [0]))


def test_settings_are_the_same_once_written_and_read(config):
    settings = config.resolved().settings()
    assert difference(json.loads(json.dumps(settings)), settings) is None


PLAN = {
    "training_images": 60,
    "training_listing": "a",
    "validation_images": 20,
    "validation_listing": "b",
}


def test_a_run_goes_on_with_its_own_images_only(tmp_path):
    run = Run(tmp_path / "run")
    require_same_images(run, PLAN)
    run.write_config({"model": "cnn", "plan": PLAN})
    require_same_images(run, PLAN)
    changed = PLAN | {"training_images": 62, "training_listing": "c"}
    with pytest.raises(UserError, match=r"training .*60 then, 62 now"):
        require_same_images(run, changed)
    with pytest.raises(UserError, match=r"validation .*20 then, 20 now"):
        require_same_images(run, PLAN | {"validation_listing": "c"})


def test_a_run_that_noted_no_more_than_numbers_goes_on(tmp_path):
    run = Run(tmp_path / "run")
    numbers = {k: v for k, v in PLAN.items() if k.endswith("images")}
    run.write_config({"model": "cnn", "plan": numbers})
    require_same_images(run, PLAN)
    with pytest.raises(UserError, match="60 then, 62 now"):
        require_same_images(run, PLAN | {"training_images": 62})


def test_all_seeds_are_trained_on_the_same_images(tmp_path):
    write_json(tmp_path / "repeats.json", {"seeds": [0, 1], "config": {}})
    Run(tmp_path / "seed-0").write_config({"model": "cnn", "plan": PLAN})
    second = Run(tmp_path / "seed-1")
    require_same_images(second, PLAN)
    with pytest.raises(UserError, match=r"since .*/seed-0 began"):
        require_same_images(second, PLAN | {"training_listing": "c"})
    neighbour = Run(tmp_path / "other")
    require_same_images(neighbour, PLAN | {"training_listing": "c"})
