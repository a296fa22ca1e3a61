"""SIGINT and SIGTERM end each command soon, and leave nothing half written."""

import itertools
import random
import signal
import subprocess
import sys
import time

import pytest
from tiny import build_tiny, save_run

# What a user waits at most.
_LIMIT = 5.0


def _stopped(arguments, number, delay, cwd=None):
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )
    time.sleep(delay)
    process.send_signal(number)
    start = time.monotonic()
    _, err = process.communicate(timeout=60)
    return process.returncode, err, time.monotonic() - start


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
)
def test_a_signal_ends_a_command_with_its_own_status(number, status, word):
    code = "import time; from dfk import cli; cli.run(lambda _: time.sleep(30))"
    found, err, seconds = _stopped(["-c", code], number, 2.0)
    assert (found, err.strip()) == (status, f"{word}.")
    assert seconds < _LIMIT


def test_what_does_not_come_back_to_python_is_ended_all_the_same():
    # As a network does that computes for minutes: a mutex locked twice.
    code = (
        "import ctypes; from dfk import cli\n"
        "lock = ctypes.CDLL(None).pthread_mutex_lock\n"
        "mutex = ctypes.create_string_buffer(64)\n"
        "cli.run(lambda _: (lock(mutex), lock(mutex)))"
    )
    found, _, seconds = _stopped(["-c", code], signal.SIGTERM, 2.0)
    assert found == 143
    assert seconds < _LIMIT + 1


def test_a_signal_where_exceptions_are_ignored_ends_it_without_a_traceback():
    code = (
        "import os, signal, time; from dfk import cli\n"
        "class Deleted:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGINT)\n"
        "def main(_):\n"
        "    Deleted()\n"
        "    time.sleep(60)\n"
        "cli.run(main)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (130, "")


@pytest.fixture
def place(faces_dir, tmp_path):
    """A run, a data set and images, for one command to work on."""
    save_run(build_tiny(), tmp_path / "run")
    return tmp_path, faces_dir


COMMANDS = {
    "train": ("--model=cnn", "--data_dir={faces}", "--workdir=new"),
    "evaluate": ("run", "--data_dir={faces}"),
    "predict": ("--model=run", "{faces}/test/real/real000.png"),
    "export": ("run",),
    "audit": ("{faces}", "--output=audit.html"),
    "embed": ("{faces}", "--model=run", "--output_dir=embeddings"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number"),
    zip(COMMANDS, itertools.cycle([signal.SIGINT, signal.SIGTERM])),
)
def test_a_signal_at_any_moment_ends_a_command(place, command, number):
    folder, faces = place
    chance = random.Random(f"{command}{number}")
    delay = chance.uniform(0.6, 9)
    arguments = [each.format(faces=faces) for each in COMMANDS[command]]
    status, err, seconds = _stopped(
        ["-m", f"dfk.{command}", *arguments], number, delay, folder
    )
    assert status in (0, 1, 128 + number), err
    assert "Traceback" not in err
    assert seconds < _LIMIT + 1
    assert not list(folder.rglob("*.partial*"))
