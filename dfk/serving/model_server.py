"""TensorFlow Serving as a child process, which is watched over gRPC.

The server's own lines go to the screen as they are. It opens its ports only
when every model is there, and says little afterwards; so this process asks it
for the state of the models, and tells what changed.
"""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.protobuf import text_format

from dfk import cli
from dfk.errors import UserError
from dfk.files import scratch_dir
from dfk.serving import batching, model_config
from dfk.serving.channel import CHANNEL_OPTIONS
from dfk.serving.model_status import State, VersionStatus, model_status

PROGRAM = "tensorflow_model_server"
LAST_PORT = 65535
# Between two looks at the server and at its models.
_SECONDS = 0.5
# How long the server may take to end after a signal. It has no handler, so it
# ends at once; longer, and this process would be ended before it.
_END_SECONDS = 3


def run(
    program: str,
    config: model_config.ModelServerConfig,
    settings: Path,
    port: int,
) -> int:
    """Runs TensorFlow Serving until it ends or a signal stops it.

    Args:
        program: its path.
        config: the models, with this machine's paths.
        settings: the folder with `batching.config` and `monitoring.config`,
            which are used if they exist.
        port: for gRPC. REST is on the next one, where there is a
            `monitoring.config`.

    Returns:
        The server's exit status; 128 and the number of a signal that ended it.

    Raises:
        UserError: a port is in use, or there is none for REST.
        dfk.cli.Stopped: a signal arrived; it was passed on to the server.
    """
    if not 0 < port < LAST_PORT:
        raise UserError(
            f"{PROGRAM} needs a port for gRPC and the next one for REST: "
            f"pass --port between 1 and {LAST_PORT - 1}. Received: {port}."
        )
    own = [
        f"--port={port}",
        # Without it, a models.config with labels stops the server.
        "--allow_version_labels_for_unavailable_models=true",
        # Another try would fail as well, and for five minutes keep from the
        # server any good version that is published meanwhile.
        "--max_num_load_retries=0",
        # Its default, 4 for each CPU, refuses callers with RESOURCE_EXHAUSTED
        # when more than that ask at the same time.
        "--grpc_max_threads=64",
    ]
    _require_free(port, "gRPC")
    batching_file = settings / batching.FILE
    if batching_file.is_file():
        own += [
            "--enable_batching=true",
            f"--batching_parameters_file={batching_file.resolve()}",
        ]
    monitoring = settings / "monitoring.config"
    if monitoring.is_file():
        _require_free(port + 1, "REST")
        own += [
            f"--rest_api_port={port + 1}",
            f"--monitoring_config_file={monitoring.resolve()}",
        ]
    with _written(config) as file:
        command = [program, *own, f"--model_config_file={file}"]
        print(f"Starting {' '.join(command)}", flush=True)
        names = [model.name for model in config.model_config_list.config]
        status = _watched(command, names, f"localhost:{port}")
    if status:
        print(
            f"{PROGRAM} ended with status {status}; its own lines above say "
            "why.",
            file=sys.stderr,
        )
    return status


def _require_free(port: int, use: str) -> None:
    """Refuses a port that is taken.

    TensorFlow Serving would share a port for gRPC with another server, and
    only log that it has none for REST.
    """
    with socket.socket() as probe:
        # A port whose connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise UserError(
                f"Port {port}, for {use}, cannot be used ({error.strerror}): "
                "stop what listens there, or pass another --port."
            ) from error


@contextlib.contextmanager
def _written(config: model_config.ModelServerConfig) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(
        "w", prefix="dfk-", suffix=".models.config", dir=scratch_dir()
    ) as file:
        file.write(text_format.MessageToString(config))
        file.flush()
        yield file.name


def _watched(command: list[str], names: list[str], address: str) -> int:
    process = subprocess.Popen(command, env=cli.environment_for_others())
    try:
        with grpc.insecure_channel(address, CHANNEL_OPTIONS) as channel:
            watch = _Watch(channel, names)
            ready = False
            while process.poll() is None:
                watch.tell_changes()
                if watch.is_ready and not ready:
                    print(f"Serving on {address}", flush=True)
                    ready = True
                time.sleep(_SECONDS)
    except cli.Stopped as stopped:
        process.send_signal(stopped.number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        raise
    finally:
        process.kill()
        process.wait()
    status = process.returncode
    return status if status >= 0 else 128 - status


class _Watch:
    """Tells what became of the versions of models.

    Args:
        channel: to the server.
        names: of the models.
    """

    def __init__(self, channel: grpc.Channel, names: list[str]):
        self._channel, self._names = channel, names
        self._known: dict[str, dict[int, VersionStatus]] = {}

    @property
    def is_ready(self) -> bool:
        """Whether the server tells the state of each model.

        Its port opens when each has a version that answers.
        """
        return len(self._known) == len(self._names)

    def tell_changes(self) -> None:
        """Asks for the state of each model, and prints what is new."""
        for name in self._names:
            try:
                found = model_status(self._channel, name, _SECONDS)
            except grpc.RpcError:
                # Its ports are not open yet, or it is busy.
                return
            known = self._known.setdefault(name, {})
            # A new version is there before the old one goes.
            for status in sorted(found, reverse=True):
                if known.get(status.version) != status:
                    known[status.version] = status
                    _tell(name, status)


def _tell(name: str, status: VersionStatus) -> None:
    match status.state:
        case State.AVAILABLE:
            became = "ready"
        case State.END if status.error:
            became = f"not loaded: {status.error}"
        case State.END:
            became = "unloaded"
        case _:
            return
    print(f"  {name}: version {status.version} {became}", flush=True)
