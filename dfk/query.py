"""Asks a model server about pictures: real or fake?

    python -m dfk.query PATH... [--server=HOST:PORT] [--model=NAME]
    python -m dfk.query --check --timeout=3

A PATH is a file, a folder with all pictures below it, a pattern such as
'photos/*.jpg', or - for paths on standard input. As in `python -m dfk.predict`,
each face in a picture is predicted: it is found and cropped here, and only the
crop is sent. --crop=none sends whole pictures, and needs no TensorFlow here.
The exit status is 0 if all pictures were answered, and 2 if some were not.
With --check it only says whether the model answers, for a health check:
status 0 if it does, and 1 if not.

--model may be left out where serving/models.config lists one model. --tls
encrypts the connection; so do --ca and --cert, which need a file. Without, what
--metadata says is sent as plain text.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.prediction import output_flags
from dfk.prediction.crops import NONE

if TYPE_CHECKING:
    from dfk.serving.client import Client

_MODELS_CONFIG = "serving/models.config"

# So that --help shows them as well.
flags.adopt_module_key_flags(output_flags)
_SERVER = flags.DEFINE_string(
    "server", "localhost:8500", "The gRPC address of the model server."
)
_MODEL = flags.DEFINE_string(
    "model",
    None,
    f"The model's served name; default: the only one that {_MODELS_CONFIG} "
    "lists.",
)
_VERSION = flags.DEFINE_integer(
    "version",
    None,
    "The version to ask; default: the highest.",
    lower_bound=0,
    upper_bound=2**63 - 1,
)
_LABEL = flags.DEFINE_string(
    "label", None, "The label of the version to ask, such as stable."
)
_TLS = flags.DEFINE_bool("tls", False, "Encrypt the connection.")
_CA = flags.DEFINE_string(
    "ca",
    None,
    "A PEM file of the authorities that the server's certificate is checked "
    "with; default: those that come with gRPC.",
)
_CERT = flags.DEFINE_string(
    "cert", None, "A PEM file of your own certificate, if the server asks."
)
_KEY = flags.DEFINE_string("key", None, "A PEM file of the key of --cert.")
_METADATA = flags.DEFINE_multi_string(
    "metadata",
    [],
    "Sent with each request, as NAME=VALUE; may be repeated. A token, say: "
    "--metadata=authorization='Bearer TOKEN'.",
)
_CHECK = flags.DEFINE_bool(
    "check", False, "Only ask whether the model answers; takes no picture."
)
_TIMEOUT = flags.DEFINE_float(
    "timeout",
    60.0,
    "Seconds to wait for the predictions of 32 pictures.",
    lower_bound=1e-3,
    upper_bound=1e6,
)


def main(argv: Sequence[str]) -> int:
    """Asks about the images named on the command line."""
    if _CHECK.value:
        return _check(argv)
    from dfk.prediction import output
    from dfk.prediction.paths import image_paths

    form = output_flags.output_format()
    paths = image_paths(argv[1:])
    crop = output_flags.CROP.value
    if crop != NONE:
        cli.start_tensorflow()
    with _client() as client:
        return output.exit_status(
            output.print_predictions(client, paths, crop, form)
        )


def _check(argv: Sequence[str]) -> int:
    cli.no_arguments(argv)
    with _client() as client:
        print(f"{client.name}, version {client.check()}, answers.")
    return 0


def _client() -> "Client":
    from dfk.serving.channel import tls
    from dfk.serving.client import Client
    from dfk.serving.model_config import only_model

    files = (_CA.value, _CERT.value, _KEY.value)
    return Client(
        _SERVER.value,
        _MODEL.value or only_model(_MODELS_CONFIG),
        _VERSION.value,
        _TIMEOUT.value,
        label=_LABEL.value,
        credentials=tls(*files) if _TLS.value or any(files) else None,
        metadata=map(_name_and_value, _METADATA.value),
    )


def _name_and_value(metadata: str) -> tuple[str, str]:
    name, equals, value = metadata.partition("=")
    if not equals:
        raise UserError(
            "--metadata is NAME=VALUE, as in authorization='Bearer TOKEN'. "
            # It may be a secret that is lacking its name.
            f"Received: {len(metadata)} characters without '='."
        )
    return name, value


if __name__ == "__main__":
    cli.run(main)
