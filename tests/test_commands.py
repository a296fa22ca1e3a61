"""What every command does before it begins to work."""

import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest

import dfk
from dfk import cli
from dfk.errors import UserError

COMMANDS = sorted(
    path.stem
    for path in Path(dfk.__file__).parent.glob("*.py")
    if "cli.run(main" in path.read_text() and path.stem != "cli"
)
HELP = """
import runpy, sys
sys.argv = ["dfk", "--help"]
try:
    runpy.run_module("dfk.{command}", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert end.code == 0, end.code
assert "tensorflow" not in sys.modules
"""


def _python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_without_importing_tensorflow(command):
    result = _python(HELP.format(command=command))
    assert result.returncode == 0, result.stderr


def test_importing_dfk_imports_no_tensorflow():
    code = "import sys, dfk; assert 'tensorflow' not in sys.modules"
    assert _python(code).returncode == 0


def test_tensorflow_is_started_once(monkeypatch):
    started = []
    monkeypatch.setattr(cli, "start_tensorflow", lambda: started.append(1))
    monkeypatch.delitem(vars(dfk), "load", raising=False)
    assert dfk.load is dfk.load
    assert len(started) == 1


def test_the_help_of_train_names_every_detector():
    from dfk import models

    result = _python(HELP.format(command="train"))
    detectors = map(models.get, models.names())
    # Other tests of this process may have registered detectors of their own.
    own = [d for d in detectors if d.backbone.__module__.startswith("dfk.")]
    assert len(own) >= 6
    for detector in own:
        assert detector.name in result.stdout


def test_what_cannot_be_written_is_a_sentence():
    code = (
        "import sys; from dfk import cli\n"
        "cli.run(lambda _: open('/nowhere/at/all.html', 'w'))"
    )
    result = _python(code)
    assert result.returncode == 1
    assert result.stderr.startswith("error: /nowhere/at/all.html: No such file")
    assert "Traceback" not in result.stderr


def test_a_mistake_in_the_flags_is_answered_without_tensorflow():
    code = HELP.replace("--help", "--epoch=3").replace("code == 0", "code == 1")
    result = _python(code.format(command="train"))
    assert result.returncode == 0, result.stderr
    assert "Unknown command line flag 'epoch'" in result.stderr


def test_output_that_nobody_reads_to_its_end_is_no_crash():
    # As `head` does: the reading end is closed first.
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "dfk.train", "--help"],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")


def _command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("share", ["0.1", "1%%", "nan%"])
def test_a_share_needs_one_sign(share):
    flag = f"--max_false_alarms={share}"
    result = _command("-m", "dfk.predict", "a.jpg", flag)
    assert result.returncode == 1
    expected = f"a percentage with its sign, such as 1%. Received: {share}"
    assert expected in result.stderr


def test_a_file_called_help_is_no_question():
    result = _command("-m", "dfk.predict", "help.jpg", "--no_such_flag")
    assert result.returncode == 1
    assert "no_such_flag" in result.stderr


@pytest.mark.slow
def test_another_backend_of_the_users_does_not_matter():
    code = "import dfk.models, keras; print(keras.backend.backend())"
    result = _command("-c", code, KERAS_BACKEND="jax")
    assert result.stdout == "tensorflow\n", result.stderr


def test_keras_on_another_backend_is_refused(monkeypatch):
    backend = types.SimpleNamespace(backend=lambda: "torch")
    keras = types.SimpleNamespace(backend=backend)
    monkeypatch.setitem(sys.modules, "keras", keras)
    with pytest.raises(UserError, match=r"import dfk\.models before.*on torch"):
        cli.use_tensorflow_backend()


def test_nothing_is_written_for_a_user_without_a_home(monkeypatch):
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    cli.start_tensorflow()
    assert os.environ["HOME"] == os.devnull


def test_no_place_for_temporary_files_is_a_sentence(monkeypatch):
    def nowhere():
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(UserError, match="set TMPDIR"):
        cli.start_tensorflow()


def test_what_the_screen_cannot_show_is_escaped():
    result = _command(
        *("-m", "dfk.predict", "--model=Gesicht-ß", "a.jpg"),
        PYTHONIOENCODING="ascii",
    )
    assert result.returncode == 1
    assert r"Gesicht-\xdf" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("lines", [1, 9_000])
def test_a_full_disk_below_the_output_is_a_sentence(lines):
    code = f"from dfk import cli; cli.run(lambda _: print('line\\n' * {lines}))"
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("error: No space left on device: the out")
    assert result.stderr.count("\n") == 1
