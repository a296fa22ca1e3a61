"""Serves the exported models over gRPC.

    python -m dfk.serve [--port=8500] [--models_root=saved_models]

When TensorFlow Serving (tensorflow_model_server) is installed, it is started
with this project's settings, and what becomes of each version is told.
Otherwise a local stand-in for development takes its place. Ctrl-C stops either.
serving/README.md says how to serve in production.
"""

from collections.abc import Sequence

from absl import flags

from dfk import cli
from dfk.files import expanded

_PORT = flags.DEFINE_integer(
    "port", 8500, "The port for gRPC.", lower_bound=0, upper_bound=65535
)
_HOST = flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "The address that the stand-in listens on; TensorFlow Serving listens on "
    "all of this machine's.",
)
_CONFIG = flags.DEFINE_string(
    "config", "serving/models.config", "The list of models that are served."
)
_MODELS_ROOT = flags.DEFINE_string(
    "models_root", "saved_models", "The folder that a container sees as /models"
)


def main(argv: Sequence[str]) -> int:
    """Starts TensorFlow Serving, or the stand-in."""
    cli.no_arguments(argv)
    # A port in use is said in one sentence; gRPC would print its own above it.
    cli.silence("GRPC_VERBOSITY", "NONE")
    from dfk.serving import launch

    config, models_root = (
        str(expanded(flag.value)) for flag in (_CONFIG, _MODELS_ROOT)
    )
    return launch.serve(config, models_root, _HOST.value, _PORT.value)


if __name__ == "__main__":
    cli.run(main)
