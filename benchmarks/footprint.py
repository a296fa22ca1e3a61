"""The memory that a served version needs, and that two need during a roll.

`python benchmarks/serving.py --memory` measures it.
"""

import contextlib
import dataclasses
import time
from pathlib import Path

import grpc
import tensorflow as tf
from served import free_port, memory, peak_memory, served

from dfk.serving import model_config
from dfk.serving.client import Client
from dfk.serving.model_status import State, model_status

# Beside it, so that what all versions share is not taken for the first one's.
_NOTHING = "nothing"
# How long a large version may take to load.
_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Resident memory of a server's process, in MiB.

    Args:
        empty: with a model that does nothing.
        serving: with a version that has answered full batches.
        rolling: at most, up to when a second version had taken the place of
            the first and answered as many.
    """

    empty: int
    serving: int
    rolling: int


def measure(
    folder: Path, name: str, version: Path, batch: list[bytes]
) -> Footprint:
    """Serves a version with the stand-in, and rolls to a copy of it.

    Args:
        folder: an empty folder for the server's files.
        name: the model's name.
        version: the folder of an exported version.
        batch: encoded images, as many as a request may have.

    Raises:
        RuntimeError: the server did not load a version.
    """
    config, root = folder / "models.config", folder / "saved_models"
    model_config.add(config, _NOTHING)
    tf.saved_model.save(tf.Module(), str(root / _NOTHING / "1"))
    (root / name).mkdir()
    port = free_port()
    with (
        served(config, root, port, by_stand_in=True) as process,
        Client(f"127.0.0.1:{port}", name, timeout=_SECONDS) as client,
    ):

        def publish(number: int) -> None:
            (root / name / str(number)).symlink_to(version)
            # Listed once it has a version, or the server would complain.
            model_config.add(config, name)
            _wait_until_only(number, client)
            for _ in range(3):
                client.score(batch)

        empty = memory(process.pid)
        publish(1)
        serving = memory(process.pid)
        publish(2)
        return Footprint(empty, serving, peak_memory(process.pid))


def _wait_until_only(number: int, client: Client) -> None:
    """Waits until a version is loaded and all others are dropped."""
    ends = time.monotonic() + _SECONDS
    with grpc.insecure_channel(client.address) as channel:
        while time.monotonic() < ends:
            # Until it has read the configuration, it knows no such model.
            with contextlib.suppress(grpc.RpcError):
                found = model_status(channel, client.name, timeout=5.0)
                states = {each.version: each.state for each in found}
                if states.pop(number, None) == State.AVAILABLE and all(
                    state == State.END for state in states.values()
                ):
                    return
            time.sleep(0.1)
    raise RuntimeError(f"The server did not load version {number}.")
