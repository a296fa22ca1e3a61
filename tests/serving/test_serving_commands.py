"""What only a command can show: its start, its signals, its exit status."""

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys

import grpc
import pytest

from dfk.serving.server import serving


def command(name, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", f"dfk.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def start_server(models):
    return subprocess.Popen(
        [
            sys.executable,
            *("-m", "dfk.serve", "--port=0"),
            f"--config={models.config}",
            f"--models_root={models.root}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_serve_says_what_it_is_and_sigterm_stops_it(toy):
    process = start_server(toy)
    lines = [process.stdout.readline().rstrip() for _ in range(3)]
    assert "stand-in" in lines[0]
    assert "development" in lines[0]
    assert lines[1].strip() == "toy: version 1"
    assert re.fullmatch(r"Serving on localhost:\d+", lines[2]), lines
    address = lines[2].removeprefix("Serving on ")
    with grpc.insecure_channel(address) as channel:
        # A connection that stays open does not hold it up.
        grpc.channel_ready_future(channel).result(20)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "Stopped.\n", "")


def test_sigint_while_loading_stops_serve(toy):
    process = start_server(toy)
    assert "stand-in" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "Interrupted.")


# The sentence itself is tested in test_server.py.
@pytest.mark.slow
def test_a_port_in_use_leaves_no_line_of_grpcs_own(toy):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command(
            "serve",
            f"--config={toy.config}",
            f"--models_root={toy.root}",
            f"--port={taken.getsockname()[1]}",
        )
    assert done.returncode == 1
    assert re.fullmatch("error: .*may be in use.*\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config=/nowhere/models.config",), "No such file"),
        (("--models_root=/nowhere",), "there is no folder /nowhere/toy"),
    ],
)
def test_serve_says_what_is_wrong(toy, arguments, message):
    done = command("serve", f"--config={toy.config}", *arguments)
    assert done.returncode == 1
    assert re.fullmatch(f"error: .*{message}.*\n", done.stderr)


def test_serve_says_that_there_is_nothing_to_serve(toy):
    toy.config.write_text("model_config_list { }")
    done = command("serve", f"--config={toy.config}")
    assert done.returncode == 1
    assert "Nothing to serve" in done.stderr


@pytest.mark.slow
def test_export_says_where_it_went_and_how_it_is_served(run, tmp_path):
    done = command(
        "export",
        run,
        "--name=mine",
        "--saved_models=saved models",
        "--label=canary",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    exported, label, serve = done.stdout.splitlines()
    assert "saved models/mine/1" in exported
    config = tmp_path / "serving/models.config"
    assert 'name: "mine"' in config.read_text()
    assert shlex.split(serve.removeprefix("Serve it: ")) == [
        *("python", "-m", "dfk.serve"),
        "--models_root=saved models",
    ]
    with serving(config, tmp_path / "saved models", port=0) as server:
        label = label.replace("HOST:PORT", f"localhost:{server.port}")
        label = shlex.split(label.partition(" loaded it: ")[2])
        assert label[:3] == ["python", "-m", "dfk.export"]
        done = command("export", *label[3:], "--prune=1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    waiting, moved, deleted = done.stdout.splitlines()
    assert waiting.startswith(f"Waiting until localhost:{server.port} has ")
    assert moved.startswith("The label canary moved to version 1 in ")
    assert deleted == "Deleted no version."
    assert 'key: "canary"' in config.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "is exported already: pass --label and --server"),
        (("--label=canary", "--prune=1"), "pass --label with --server"),
        (("--name=other", "--prune=1"), "no --name"),
        (("--server=localhost:1",), "pass --label as well"),
    ],
)
def test_export_says_what_a_label_needs(toy, arguments, message):
    done = command("export", toy.version(1), *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"error: .*{message}.*\n", done.stderr)


def test_export_needs_one_run(tmp_path):
    done = command("export", cwd=tmp_path)
    assert done.returncode == 1
    assert "One run must be named" in done.stderr


def test_a_check_says_all_that_is_wrong(place, tmp_path):
    flags = f"--saved_models={place / 'saved_models'}"
    done = command("export", "--check", place / "models.config", flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("models.config: nothing is wrong.\n")
    done = command("export", "--check", tmp_path, "/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    of_folder, of_file = done.stderr.splitlines()
    assert of_folder.startswith(f"error: {tmp_path} has no version")
    assert of_file.startswith("error: /nowhere cannot be read")


@pytest.fixture(scope="module")
def address(place):
    config = place / "models.config"
    with serving(config, place / "saved_models", port=0) as server:
        yield f"localhost:{server.port}"


def test_query_answers_about_each_picture(address, images, tmp_path):
    (tmp_path / "face.png").write_bytes(images[0])
    (tmp_path / "[bold]odd[name].png").write_bytes(b"no picture")
    files = ["face.png", "[bold]odd[name].png"]
    asked = ("query", *files, f"--server={address}", "--model=tiny")
    asked = (*asked, "--crop=none")
    summary = "2 pictures: 1 fake, 1 not answered.\n"
    done = command(*asked, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, summary)
    good, broken = map(json.loads, done.stdout.splitlines())
    assert [good["image"], broken["image"]] == files
    assert good["version"] == 1
    assert 0 < good["fake_probability"] < 1
    assert "error" not in good
    assert broken["fake_probability"] is None
    assert broken["verdict"] == "unreadable"

    table = command(*asked, cwd=tmp_path)
    assert (table.returncode, table.stderr) == (2, summary)
    for shown in (*files, good["verdict"], broken["error"]):
        assert shown in table.stdout


def test_a_check_is_a_status(address):
    done = command("query", "--check", f"--server={address}", "--model=tiny")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "tiny, version 1, answers.\n"
    done = command("query", "--check", "--server=localhost:1", "--model=tiny")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("error: No model server answers at .*\n", done.stderr)


def test_query_asks_for_the_only_model_that_is_listed(address, place, tmp_path):
    (tmp_path / "serving").mkdir()
    asked = ("query", "--check", f"--server={address}")
    done = command(*asked, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no serving/models.config here" in done.stderr
    shutil.copy(place / "models.config", tmp_path / "serving")
    done = command(*asked, cwd=tmp_path)
    assert done.stdout == "tiny, version 1, answers.\n", done.stderr


def test_query_says_in_a_sentence_what_is_wrong(address, images, tmp_path):
    (tmp_path / "face.png").write_bytes(images[0])
    done = command(
        "query",
        tmp_path / "face.png",
        f"--server={address}",
        "--model=tiny",
        *("--crop=none", "--json"),
        "--version=9",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("error: .*has no version 9.*\n", done.stderr)
