"""The commands as a user runs them."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest


def command(name, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", f"dfk.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def start_server(place):
    return subprocess.Popen(
        [
            sys.executable,
            *("-m", "dfk.serve", "--port=0"),
            f"--config={place / 'models.config'}",
            f"--models_root={place / 'saved_models'}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_until_serving(process):
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith("Serving on"):
            return lines
    raise AssertionError(process.stderr.read())


@pytest.fixture(scope="module")
def server(place):
    process = start_server(place)
    yield lines_until_serving(process)
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def address(server):
    return server[-1].removeprefix("Serving on ")


@pytest.fixture(scope="module")
def files(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(images[:3]):
        (folder / f"{number}.png").write_bytes(image)
    return sorted(folder.iterdir())


def test_the_stand_in_says_what_it_is_and_what_it_serves(server):
    assert "stand-in" in server[0]
    assert "development" in server[0]
    assert server[1].strip() == "tiny: version 1"
    assert re.fullmatch(r"Serving on localhost:\d+", server[2])


def test_query_and_predict_give_the_same_records(address, files, place):
    query = command("query", *files, f"--server={address}", "--model=tiny",
                    "--json")  # fmt: skip
    saved_model = place / "saved_models/tiny"
    predict = command("predict", *files, f"--model={saved_model}", "--json")
    assert (query.returncode, predict.returncode) == (0, 0), query.stderr
    assert query.stderr == ""
    for asked, predicted in zip(
        query.stdout.splitlines(), predict.stdout.splitlines(), strict=True
    ):
        asked, predicted = json.loads(asked), json.loads(predicted)
        assert asked["version"] == 1
        assert asked.pop("fake_probability") == pytest.approx(
            predicted.pop("fake_probability"), abs=1e-5
        )
        assert asked == predicted


def test_a_table_shows_every_image(address, files, tmp_path):
    odd = tmp_path / "[bold]odd[name].png"
    odd.write_bytes(b"no picture")
    done = command("query", *files, odd, f"--server={address}", "--model=tiny")
    assert done.returncode == 1
    assert done.stderr == ""
    for file in files:
        assert file.name in done.stdout
    assert "[bold]odd[name].png" in done.stdout
    assert "not a picture that can be decoded" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "No picture was named"),
        (("{file}", "--server=localhost:1"), "No model server answers"),
        (("{file}", "--server={address}"), "serves no model 'facenet'"),
        (
            ("{file}", "--server={address}", "--model=tiny", "--version=9"),
            "has no version 9",
        ),
    ],
)
def test_query_says_what_is_wrong(address, files, arguments, message):
    done = command(
        "query", *(a.format(file=files[0], address=address) for a in arguments)
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(f"error: .*{message}.*\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config=/nowhere/models.config",), "No such file"),
        (("--models_root=/nowhere",), "there is no folder /nowhere/tiny"),
        (("--port={taken}",), "may be in use"),
    ],
)
def test_serve_says_what_is_wrong(place, arguments, message):
    with socket.create_server(("127.0.0.1", 0)) as locked:
        port = locked.getsockname()[1]
        done = command(
            "serve",
            f"--config={place / 'models.config'}",
            f"--models_root={place / 'saved_models'}",
            *(a.format(locked=port) for a in arguments),
        )
    assert done.returncode == 1
    assert re.fullmatch(f"error: .*{message}.*\n", done.stderr)


def test_an_empty_config_is_said(tmp_path):
    config = tmp_path / "models.config"
    config.write_text("model_config_list { }")
    done = command("serve", f"--config={config}")
    assert done.returncode == 1
    assert "Nothing to serve" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_cleanly(place, number):
    process = start_server(place)
    address = lines_until_serving(process)[-1].removeprefix("Serving on ")
    with grpc.insecure_channel(address) as channel:
        # A connection that stays open does not hold it up.
        grpc.channel_ready_future(channel).result(5)
        start = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    assert time.monotonic() - start < 5
    assert out == "Stopped.\n"
    assert err == ""


def test_a_signal_while_loading_stops_it_too(place):
    process = start_server(place)
    assert "stand-in" in process.stdout.readline()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_export_says_where_it_went(run, tmp_path):
    done = command("export", run, "--name=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "saved_models/mine/1" in done.stdout
    assert (tmp_path / "saved_models/mine/1/saved_model.pb").is_file()
    assert 'name: "mine"' in (tmp_path / "serving/models.config").read_text()


def test_export_says_how_to_serve_it(run, tmp_path):
    given = {
        "config": tmp_path / "models.config",
        "saved_models": tmp_path / "saved models",
    }
    done = command("export", run, *(f"--{k}={v}" for k, v in given.items()))
    serve = done.stdout.splitlines()[-1].removeprefix("Serve it: ")
    assert shlex.split(serve) == [
        *("python", "-m", "dfk.serve"),
        f"--config={given['config']}",
        f"--models_root={given['saved_models']}",
    ]


def test_export_needs_one_run(tmp_path):
    done = command("export", cwd=tmp_path)
    assert done.returncode == 1
    assert "One run must be named" in done.stderr


@pytest.mark.parametrize("name", ["export", "serve", "query", "predict"])
def test_help_does_not_wait_for_tensorflow(name):
    start = time.monotonic()
    done = command(name, "--help")
    assert time.monotonic() - start < 0.5
    assert f"python -m dfk.{name}" in done.stdout
