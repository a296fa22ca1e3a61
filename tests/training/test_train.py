"""Whole runs of the small detector on small files."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from trained import weights

import dfk
from dfk import models
from dfk.errors import UserError
from dfk.files import exclusive_lock, write_json
from dfk.runs import Run
from dfk.training import strategies
from dfk.training.config import Config
from dfk.training.resume import difference, find_run
from dfk.training.train import train

SCRIPT = Path(__file__).with_name("small_detector.py")


def test_a_run_is_a_folder(run):
    assert run.config["model"] == "small"
    assert run.config["weights"] == "none"
    assert list(run.logs.glob("events*"))
    results = json.loads(run.results_path.read_text())
    assert [e["epoch"] for e in results["training"]["epochs"]] == [0, 1, 2, 3]
    assert models.load(run.path).input_shape == (None, 40, 40, 3)


def test_the_detector_carries_what_validation_fitted(run):
    detector = models.load(run.path)
    fitted = models.score_layer(detector).calibration
    assert fitted.temperature != 1
    assert fitted.images == (20, 20)
    # 40 images are too few for a limit of 1 %, but the rest is fitted.
    ood_score = models.ood_layer(detector)
    assert ood_score.limit.numpy() == np.inf
    center, *_ = ood_score.get_weights()
    assert center.any()


def test_a_finished_run_is_left_as_it_is(run, config, capsys):
    before = run.model_path.stat().st_mtime_ns
    # However the folder of images is spelled.
    for named in (
        {"data_dir": f"{config.data_dir}/."},
        {"data_dir": None, "dataset": config.data_dir},
    ):
        train(dataclasses.replace(config, **named), str(run.path))
    assert "finished already" in capsys.readouterr().out
    assert run.model_path.stat().st_mtime_ns == before


def test_a_damaged_detector_does_not_count_as_finished(run, config, tmp_path):
    damaged = Run(shutil.copytree(run.path, tmp_path / "damaged"))
    damaged.model_path.write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.keras is empty or cut off"):
        train(config, str(damaged.path))
    damaged.model_path.unlink()
    train(config, str(damaged.path))
    assert models.load(damaged.path)


def test_other_settings_do_not_mix_into_a_run(run, config):
    with pytest.raises(UserError, match="seed 0, not 1"):
        train(dataclasses.replace(config, seed=1), str(run.path))


def test_another_recipe_does_not_mix_into_a_run(config, tmp_path):
    begun, record = Run(tmp_path), config.resolved().settings()
    fixed = record["recipe"]
    degraded = fixed["augmentation"] | {"degraded": 0.75}
    for change, message in (
        ({"augmentation": degraded}, r"augmentation degraded 0\.75, not"),
        ({"native_size": 192}, "native_size 192, not 0"),
    ):
        write_json(begun.config_path, record | {"recipe": fixed | change})
        with pytest.raises(UserError, match=message):
            train(config, str(begun.path))


def test_a_run_of_an_earlier_version_is_not_continued(
    config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    begun, settings = Run("runs/begun"), config.resolved().settings()
    del settings["format"]
    write_json(begun.config_path, settings)
    with pytest.raises(
        UserError, match=rf"format 1, .* format {dfk.FORMAT}: train"
    ):
        train(config, str(begun.path))
    assert find_run(config.resolved().settings()).path != begun.path
    begun.model_path.touch()
    with pytest.raises(UserError, match="format 1"):
        Run.finished(begun.path)


def test_a_run_writes_down_what_it_was_and_what_it_planned(run, config):
    held = run.config
    assert held["data_dir"] == str(Path(config.data_dir).resolve())
    assert held["recipe"]["native_size"] == 0
    assert held["plan"]["stages"] == "early, late"
    assert held["plan"]["image_size"] == 40
    assert held["plan"]["training_images"] == 48


def test_paths_are_absolute_wherever_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.h5").touch()
    settled = Config(
        "small", weights="weights.h5", data_dir="a,~/b", manual_dir="c"
    ).resolved()
    assert settled.weights == str(tmp_path / "weights.h5")
    assert settled.data_dir == f"{tmp_path / 'a'},{Path.home() / 'b'}"
    assert settled.manual_dir == str(tmp_path / "c")
    assert settled.resolved() == settled


def test_open_epochs_do_not_make_another_run(config):
    chosen = dataclasses.replace(config, epochs=None).resolved().settings()
    begun = config.resolved().settings()
    assert begun["epochs"] == 3
    assert difference(begun, chosen) is None
    other = dataclasses.replace(config, epochs=4).resolved().settings()
    assert difference(begun, other) == ("epochs", 3, 4)


def test_a_run_is_trained_by_one_process(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun = Run("runs/begun")
    write_json(begun.config_path, config.resolved().settings())
    with exclusive_lock(begun.path):
        with pytest.raises(UserError, match="Another process is training"):
            train(config, str(begun.path))
        assert find_run(config.resolved().settings()).path != begun.path
    assert find_run(config.resolved().settings()).path == begun.path


def test_a_batch_that_devices_cannot_share_is_refused(config, monkeypatch):
    class Three:
        num_replicas_in_sync = 3

    monkeypatch.setattr(strategies, "choose", lambda name: Three)
    with pytest.raises(UserError, match=r"16 pictures.*--batch_size"):
        train(config)


def test_a_stopped_run_ends_as_an_undisturbed_one(
    run, config, tmp_path, monkeypatch
):
    """Stopped in its second epoch, as the slow test kills it."""
    stopped = Run(tmp_path / "stopped")

    def track(steps, title, total):
        if title == "epoch 2":
            raise KeyboardInterrupt
        return steps

    with monkeypatch.context() as patch:
        patch.setattr("dfk.training.loop.track", track)
        with pytest.raises(KeyboardInterrupt):
            train(config, str(stopped.path))
    _require_same_end(stopped, run, lambda: train(config, str(stopped.path)))


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of so many KiB, or gives it as many."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(size, option="size={}k"):
        command = ["mount", "-t", "tmpfs", "-o", option.format(size)]
        done = subprocess.run(
            [*command, "tmpfs", folder], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return folder

    yield resize
    # Lazily, since the run's writer of TensorBoard logs is still open.
    subprocess.run(["umount", "--lazy", folder], capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 160])
def test_a_full_disk_stops_a_run_that_then_goes_on(
    run, config, small_disk, size
):
    folder = small_disk(size)
    with pytest.raises(OSError, match="No space left") as caught:
        train(config, str(folder / "run"))
    assert Path(caught.value.filename).is_relative_to(folder)
    assert {path.name for path in folder.rglob(".*")} <= {".lock"}
    assert not list(folder.rglob("*temp*"))
    small_disk(9_000, "remount,size={}k")
    again = train(config, str(folder / "run"))
    for ours, theirs in zip(weights(again), weights(run), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.slow
def test_a_killed_run_ends_as_an_undisturbed_one(run, config, tmp_path):
    killed = Run(tmp_path / "killed")
    command = [sys.executable, SCRIPT, f"--workdir={killed.path}"]
    command += [
        f"--{name}={value}"
        for name, value in dataclasses.asdict(config).items()
        if value is not None
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _wait_for_epoch(killed, 1, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _require_same_end(
        killed,
        run,
        lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL),
    )


def _require_same_end(stopped, undisturbed, go_on):
    assert not stopped.model_path.exists()
    history = stopped.checkpoints / "history.json"
    epochs = json.loads(history.read_text())["epochs"]
    epochs[0]["seconds"] = 1000.0
    history.write_text(json.dumps({"epochs": epochs}))
    go_on()
    assert stopped.results["training"]["seconds"] > 1000
    for ours, theirs in zip(
        weights(stopped), weights(undisturbed), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def _wait_for_epoch(run, epoch, process):
    for _ in range(6000):
        assert process.poll() is None, "the run ended before it was killed"
        history = run.checkpoints / "history.json"
        if (
            history.exists()
            and json.loads(history.read_text())["epochs"][epoch:]
        ):
            return
        time.sleep(0.05)
    raise AssertionError("no epoch ended within five minutes")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": "fast"}, "--strategy=fast is unknown"),
        ({"strategy": "multi_worker"}, "needs the environment variable"),
        ({"precision": "int8"}, "--precision=int8 is unknown"),
        ({"model": "cnm"}, "did you mean 'cnn'"),
        ({"unfreeze": "block9", "weights": "x.keras"}, "is no stage of small"),
        ({"weights": "nowhere.h5"}, "no file has that path"),
        ({"data_dir": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    config, tmp_path, change, message
):
    with pytest.raises(UserError, match=message):
        train(dataclasses.replace(config, **change), str(tmp_path / "runs/x"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["real/real003.png", "fake/fake023.png"])
def test_a_broken_image_is_named(config, tmp_path, name):
    shutil.copytree(config.data_dir, tmp_path / "faces")
    (tmp_path / "faces/train" / name).write_bytes(b"no picture")
    broken = dataclasses.replace(config, data_dir=str(tmp_path / "faces"))
    with pytest.raises(UserError, match=name):
        train(broken, str(tmp_path / "run"))


def test_the_same_command_goes_on_with_the_unfinished_run(
    config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    # Without fine-tuning, to be quick.
    short = dataclasses.replace(config, unfreeze="none")
    begun = Run("runs/begun")
    write_json(begun.config_path, short.resolved().settings())
    assert train(short).path == begun.path
    # What has finished is not gone on with.
    assert find_run(short.resolved().settings()).path != begun.path
    os.remove(begun.model_path)
    assert find_run(short.resolved().settings()).path == begun.path
    other = dataclasses.replace(short, seed=5).resolved()
    assert find_run(other.settings()).path != begun.path
