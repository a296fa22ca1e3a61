"""Several devices and several workers train one model."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("distributed_run.py")


def _start(arguments, **environment):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(*processes):
    outputs = [process.communicate(timeout=240)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-3000:]
    return outputs


def _losses(run):
    history = json.loads((run / "checkpoints" / "history.json").read_text())
    return [row["loss"] for row in history["epochs"][1:]]


@pytest.fixture(scope="module")
def two_workers(faces_dir, tmp_path_factory):
    """Two processes on loopback that train one model."""
    folder = tmp_path_factory.mktemp("workers")
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        cluster = {
            "worker": [f"127.0.0.1:{s.getsockname()[1]}" for s in (a, b)]
        }
    processes = [
        _start(
            ["multi_worker", faces_dir, folder / "run", folder / f"{i}.npz"],
            TF_CONFIG=json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": i}}
            ),
        )
        for i in (0, 1)
    ]
    _finish(*processes)
    return folder


def test_two_workers_end_with_the_same_weights(two_workers):
    ours = np.load(two_workers / "0.npz")
    theirs = np.load(two_workers / "1.npz")
    assert ours.files == theirs.files
    for name in ours.files:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_two_workers_see_the_same_losses(two_workers):
    ours = np.load(two_workers / "0.npz")["losses"]
    theirs = np.load(two_workers / "1.npz")["losses"]
    assert len(ours) == 3
    np.testing.assert_array_equal(ours, theirs)
    assert _losses(two_workers / "run") == pytest.approx(ours)


def test_the_chief_saves_the_weights_that_all_workers_have(two_workers):
    from dfk import models

    saved = models.load(two_workers / "run").get_weights()
    held = np.load(two_workers / "1.npz")
    for number, weight in enumerate(saved):
        np.testing.assert_array_equal(weight, held[f"weight{number}"])


def test_mirrored_trains_on_two_logical_devices(faces_dir, tmp_path):
    run, weights = tmp_path / "run", tmp_path / "w"
    # Two steps make one update.
    process = _start(["mirrored", faces_dir, run, weights, 2])
    (output,) = _finish(process)
    assert "on 2 CPUs" in output
    assert np.isfinite(_losses(run)).all()
    updates = [
        tf.train.load_variable(str(run / "checkpoints"), name)
        for name, _ in tf.train.list_variables(str(run / "checkpoints"))
        if "iteration" in name
    ]
    # Three epochs of three steps each.
    assert updates == [6]
