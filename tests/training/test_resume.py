"""Runs that cannot be gone on with, since a file of theirs is damaged."""

import dataclasses

import keras
import pytest
from small_detector import RECIPE
from test_loop import Batches

from dfk.errors import UserError
from dfk.files import write_json
from dfk.runs import Run
from dfk.training import repeats, strategies
from dfk.training.loop import FineTuning
from dfk.training.resume import find_run, require_same_images

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


def test_a_run_does_not_go_on_with_other_images(tmp_path):
    plan = {
        f"{split}_{what}": value
        for split in ("training", "validation")
        for what, value in (("images", 60), ("version", "a"))
    }
    run = Run(tmp_path / "run")
    require_same_images(run, plan)
    run.write_config({"model": "cnn", "plan": plan})
    require_same_images(run, plan)
    changed = plan | {"training_images": 62, "training_version": "b"}
    with pytest.raises(UserError, match=r"training .*60 then, 62 now"):
        require_same_images(run, changed)
