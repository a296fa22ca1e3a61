"""TensorFlow Serving as a child: a program of its name stands for it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

SERVING = Path(__file__).parents[2] / "serving"

# It only says how it was called.
ECHO = """
import os, sys
print(*sys.argv[1:], sep="\\n")
for argument in sys.argv:
    if argument.startswith("--model_config_file="):
        print(open(argument.partition("=")[2]).read())
for name in ("TF_CPP_MIN_LOG_LEVEL", "GRPC_VERBOSITY"):
    print(name, os.environ.get(name))
"""
# It serves, as the stand-in does.
SERVE = """
import sys, time
from dfk import cli
cli.start_tensorflow()
from dfk.serving.server import serving
flags = dict(a[2:].split("=", 1) for a in sys.argv[1:])
port = int(flags["port"])
with serving(flags["model_config_file"], "/models", "127.0.0.1", port):
    time.sleep(600)
"""


@pytest.fixture
def free_port():
    """A port for gRPC, with the next one free as well."""
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1] - 1


@pytest.fixture
def start(toy, tmp_path, free_port):
    """Starts `dfk.serve` where PATH has a model server, and ends it."""
    started = []

    def start(code, port=free_port, **variables):
        programs = tmp_path / "bin"
        programs.mkdir()
        program = programs / "tensorflow_model_server"
        program.write_text(f"#!{sys.executable}\n{code}")
        program.chmod(0o755)
        (tmp_path / "temporary").mkdir()
        path = f"{programs}:{os.environ['PATH']}"
        own = {"PATH": path, "TMPDIR": str(tmp_path / "temporary")}
        silent = ("TF_CPP_MIN_LOG_LEVEL", "GRPC_VERBOSITY")
        others = {k: v for k, v in os.environ.items() if k not in silent}
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "dfk.serve", f"--port={port}"),
                f"--config={toy.config}",
                f"--models_root={toy.root}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**others, **own, **variables},
        )
        started.append(process)
        # Whoever waits for a line must not wait for ever.
        threading.Timer(120, process.terminate).start()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def settings(tmp_path):
    for name in ("batching.config", "monitoring.config"):
        (tmp_path / name).write_bytes((SERVING / name).read_bytes())


def test_it_is_started_with_local_paths(
    start, toy, tmp_path, free_port, settings
):
    process = start(ECHO)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    for line in (
        f"--port={free_port}",
        "--enable_batching=true",
        f"--batching_parameters_file={tmp_path / 'batching.config'}",
        f"--rest_api_port={free_port + 1}",
        f"--monitoring_config_file={tmp_path / 'monitoring.config'}",
        "--allow_version_labels_for_unavailable_models=true",
        "--max_num_load_retries=0",
        "--grpc_max_threads=64",
        f'base_path: "{toy.root / "toy"}"',
    ):
        assert line in lines


@pytest.mark.parametrize("asked", [None, "1"])
def test_its_own_lines_are_not_silenced(start, asked):
    variables = {"TF_CPP_MIN_LOG_LEVEL": asked} if asked else {}
    out, _ = start(ECHO, **variables).communicate(timeout=60)
    assert f"TF_CPP_MIN_LOG_LEVEL {asked}\n" in out
    assert "GRPC_VERBOSITY None\n" in out


def test_its_status_is_the_commands(start):
    process = start("raise SystemExit(7)")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert err == (
        "tensorflow_model_server ended with status 7; its own lines above say "
        "why.\n"
    )


@pytest.mark.parametrize(("beyond", "use"), [(0, "gRPC"), (1, "REST")])
def test_a_port_in_use_is_named(start, free_port, settings, beyond, use):
    with socket.create_server(("", free_port + beyond)):
        process = start(ECHO)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"error: Port {free_port + beyond}, for {use}, ")


@pytest.mark.slow
def test_what_becomes_of_each_version_is_told(start, toy, tmp_path, free_port):
    process = start(SERVE)
    lines = iter(process.stdout.readline, "")

    def wait_for(start_of_line):
        for line in lines:
            if line.startswith(start_of_line):
                return line
        raise AssertionError(process.stderr.read())

    wait_for("  toy: version 1 ready")
    wait_for(f"Serving on localhost:{free_port}")
    toy.add(2)
    wait_for("  toy: version 2 ready")
    wait_for("  toy: version 1 unloaded")
    toy.add(3)
    broken = toy.root / "toy/.new"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no graph")
    wait_for("  toy: version 3 ready")
    broken.rename(toy.version(4))
    failed = wait_for("  toy: version 4 not loaded: ")
    assert "saved_model.pb" in failed

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 143
    # After the server's own line about version 4.
    assert err.endswith("\nTerminated.\n")
    assert list((tmp_path / "temporary").glob("dfk-*.config")) == []
    # Its port is free: the server has gone as well.
    with socket.create_server(("127.0.0.1", free_port)):
        pass
