"""Runs the whole pipeline once, from a data set to verdicts over gRPC.

  python -m dfk.quickstart

Builds the sample data set, fits a detector to CLIP's frozen features of it,
evaluates and exports it, starts a server, sends it two pictures of the test
split (its first real and its first fake one), and stops the server. Then it
asks the built-in detector about a photograph and a generated face. Each step is
a command, which is printed before it runs.
"""

import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

from absl import flags

import dfk
from dfk import cli
from dfk.errors import UserError
from dfk.files import expanded

FLAGS = flags.FLAGS

flags.DEFINE_string("workdir", "runs/quickstart", "Folder of the run.")

_SERVER_START_S = 120


def main(argv):
    """Runs the commands one after the other."""
    cli.no_arguments(argv)
    started = time.monotonic()
    run = FLAGS.workdir
    # A third of the tokens that CLIP has at its own 224 pixels, for speed.
    _command(
        "dfk.train", "--model=clip", "--image_size=128", f"--workdir={run}"
    )
    _command("dfk.evaluate", run)
    _command("dfk.export", run)
    images = _test_images(expanded(run) / "pictures")
    port = _free_port()
    server = subprocess.Popen(_show("dfk.serve", f"--port={port}"))
    try:
        _wait_until_open(port, server)
        server_flag = f"--server=localhost:{port}"
        _command("dfk.query", *images, server_flag, "--model=clip")
    finally:
        server.terminate()
        server.wait()
    examples = Path(dfk.__file__).with_name("examples")
    _command("dfk.predict", *map(str, sorted(examples.glob("*.jpg"))))
    print(f"From data to verdicts in {time.monotonic() - started:.0f} s.")
    return 0


def _show(module: str, *arguments: str) -> list[str]:
    """Prints a command as a user would type it."""
    print("\n$ " + shlex.join(["python", "-m", module, *arguments]), flush=True)
    return [sys.executable, "-m", module, *arguments]


def _command(module: str, *arguments: str) -> None:
    status = subprocess.call(_show(module, *arguments))
    if status:
        raise UserError(
            f"{module} ended with status {status}: solve what it said above, "
            "then repeat this command, which goes on from there."
        )


def _test_images(folder: Path) -> list[str]:
    """Writes the first real and the first fake test image as PNG files."""
    cli.start_tensorflow()
    import tensorflow as tf

    from dfk import data
    from dfk.data.folders import LABELS

    split = data.load(splits=("test",)).splits["test"]
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    with data.unreadable_files():
        for example in split.examples:
            label = LABELS[int(example["label"])]
            if label not in paths:
                paths[label] = str(folder / f"{label}.png")
                picture = tf.io.encode_png(example["image"])
                tf.io.write_file(paths[label], picture)
            if len(paths) == 2:
                break
    return [paths["real"], paths["fake"]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_open(port: int, server: subprocess.Popen) -> None:
    for _ in range(_SERVER_START_S * 5):
        if server.poll() is not None:
            raise UserError("The server ended: solve what it said above.")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise UserError(f"The server was not ready after {_SERVER_START_S} s.")


if __name__ == "__main__":
    cli.run(main)
