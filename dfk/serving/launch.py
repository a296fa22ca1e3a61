"""Starting a model server: TensorFlow Serving, or the stand-in for it."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from google.protobuf import text_format

from dfk import cli
from dfk.errors import UserError
from dfk.files import scratch_dir
from dfk.serving import model_config

MODEL_SERVER = "tensorflow_model_server"
LAST_PORT = 65535
# The longest time until a signal is handled.
_SIGNAL_SECONDS = 0.2
STAND_IN = (
    "This is dfk's local stand-in for TensorFlow Serving, for development; "
    f"{MODEL_SERVER} is not on PATH."
)


def serve(config: str, models_root: str, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
        config: a `models.config`.
        models_root: the folder that a container sees as `/models`.
        host: the address that the stand-in listens on; TensorFlow Serving
            listens on all of them.
        port: the port for gRPC.

    Raises:
        UserError: there is nothing to serve, or the port is in use.

    Example:
        >>> serve("serving/models.config", "saved_models", "127.0.0.1", 8500)
        This is dfk's local stand-in for TensorFlow Serving, ...
          facenet: version 3
        Serving on localhost:8500
    """
    local = _local_config(config, models_root)
    model_server = shutil.which(MODEL_SERVER)
    if model_server:
        _start(model_server, local, Path(config).parent, port)
    else:
        _stand_in(config, models_root, host, port)


def _local_config(
    config: str, models_root: str
) -> model_config.ModelServerConfig:
    """The configuration with this machine's paths, which must exist."""
    local = model_config.read_local(config, models_root)
    if not local.model_config_list.config:
        raise UserError(
            f"Nothing to serve, since {config} lists no model: export one "
            "with `python -m dfk.export RUN`."
        )
    for model in local.model_config_list.config:
        if not Path(model.base_path).is_dir():
            raise UserError(
                f"{config} lists the model {model.name}, but there is no "
                f"folder {model.base_path}: export it with `python -m "
                "dfk.export RUN`, or pass --models_root."
            )
    return local


def _start(
    model_server: str,
    config: model_config.ModelServerConfig,
    settings: Path,
    port: int,
) -> NoReturn:
    """Becomes TensorFlow Serving, with the settings beside `models.config`."""
    if not 0 < port < LAST_PORT:
        raise UserError(
            f"{MODEL_SERVER} needs a port for gRPC and the next one for REST: "
            f"pass --port between 1 and {LAST_PORT - 1}. Received: {port}."
        )
    with tempfile.NamedTemporaryFile(
        "w",
        prefix="dfk-",
        suffix=".models.config",
        dir=scratch_dir(),
        delete=False,
    ) as file:
        file.write(text_format.MessageToString(config))
    arguments = [
        model_server,
        f"--port={port}",
        f"--model_config_file={file.name}",
        # Without it, a models.config with labels stops the server.
        "--allow_version_labels_for_unavailable_models=true",
    ]
    batching = settings / "batching.config"
    if batching.is_file():
        arguments += [
            "--enable_batching=true",
            f"--batching_parameters_file={batching.resolve()}",
        ]
    monitoring = settings / "monitoring.config"
    if monitoring.is_file():
        arguments += [
            f"--rest_api_port={port + 1}",
            f"--monitoring_config_file={monitoring.resolve()}",
        ]
    print(f"Starting {' '.join(arguments)}", flush=True)
    os.execv(model_server, arguments)


def _stand_in(config: str, models_root: str, host: str, port: int) -> None:
    print(STAND_IN, flush=True)
    # Not earlier, since a model server does without.
    cli.start_tensorflow()
    from dfk.serving.server import serving

    with (
        contextlib.suppress(cli.Stopped),
        serving(config, models_root, host, port) as server,
    ):
        for model in server.manager.models.values():
            versions = ", ".join(map(str, model.available()))
            print(f"  {model.name}: version {versions}")
        name = "localhost" if host == "127.0.0.1" else host
        print(f"Serving on {name}:{server.port}", flush=True)
        # Short waits: a signal that another thread receives ends none, and
        # is handled only after it.
        while True:
            time.sleep(_SIGNAL_SECONDS)
    print("Stopped.")
