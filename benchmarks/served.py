"""A server in a process of its own, for the scripts beside this file."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def served(
    config: Path, models_root: Path, port: int, by_stand_in: bool
) -> Iterator[subprocess.Popen]:
    """Runs `dfk.serve`.

    Args:
        config: a `models.config`.
        models_root: the folder of the models.
        port: where it listens.
        by_stand_in: also where a model server is on PATH.

    Yields:
        The process, once it listens.
    """
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "dfk.serve", f"--port={port}"),
            *(f"--config={config}", f"--models_root={models_root}"),
        ],
        env={**os.environ, "PATH": ""} if by_stand_in else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        if not any("Serving on" in line for line in process.stdout):
            raise RuntimeError("The server did not start.")
        yield process
    finally:
        process.terminate()
        process.communicate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def memory(process: int) -> int:
    """The resident memory of a process, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) >> 10
