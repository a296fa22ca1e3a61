"""Starting a model server: TensorFlow Serving, or the stand-in for it."""

import contextlib
import shutil
import time
from pathlib import Path

from dfk import cli
from dfk.errors import UserError
from dfk.serving import model_config, model_server

# The longest time until a signal is handled.
_SIGNAL_SECONDS = 0.2
STAND_IN = (
    "This is dfk's local stand-in for TensorFlow Serving, for development; "
    f"{model_server.PROGRAM} is not on PATH."
)


def serve(config: str, models_root: str, host: str, port: int) -> int:
    """Serves until SIGINT or SIGTERM.

    Args:
        config: a `models.config`.
        models_root: the folder that a container sees as `/models`.
        host: the address that the stand-in listens on; TensorFlow Serving
            listens on all of them.
        port: the port for gRPC.

    Returns:
        The exit status: of TensorFlow Serving, its own.

    Raises:
        UserError: there is nothing to serve, or a port is in use.

    Example:
        >>> serve("serving/models.config", "saved_models", "127.0.0.1", 8500)
        This is dfk's local stand-in for TensorFlow Serving, ...
          facenet: version 3
        Serving on localhost:8500
    """
    local = _local_config(config, models_root)
    program = shutil.which(model_server.PROGRAM)
    if program:
        return model_server.run(program, local, Path(config).parent, port)
    _stand_in(config, models_root, host, port)
    return 0


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
