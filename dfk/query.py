"""Asks a model server about pictures: real or fake?

    python -m dfk.query PATH... [--server=HOST:PORT] [--model=NAME]
    python -m dfk.query --check --timeout=3

A PATH is a file, a folder with all pictures below it, a pattern such as
'photos/*.jpg', or - for paths on standard input. As in `python -m dfk.predict`,
each face in a picture is predicted: it is found and cropped here, and only the
crop is sent. --crop=none sends pictures as they are, and needs no TensorFlow
here. The exit status is 0 if all pictures were answered, and 2 if some were
not. With --check it only says whether the model answers, for a health check:
status 0 if it does, and 1 if not.
"""

from collections.abc import Sequence

from absl import flags

from dfk import cli
from dfk.prediction.crops import AUTO, CROPS, NONE

_SERVER = flags.DEFINE_string(
    "server", "localhost:8500", "The gRPC address of the model server."
)
_MODEL = flags.DEFINE_string("model", "clip", "The model's served name.")
_VERSION = flags.DEFINE_integer(
    "version",
    None,
    "The version to ask; default: the highest.",
    lower_bound=0,
    upper_bound=2**63 - 1,
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON lines.")
_CSV = flags.DEFINE_bool("csv", False, "Print comma-separated values.")
_CROP = flags.DEFINE_enum(
    "crop",
    AUTO,
    CROPS,
    "What of a picture is predicted: each face in it; none, all of it; or "
    "auto, its faces, but all of a picture that is the crop of a face already.",
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

    form = output.chosen(as_json=_JSON.value, as_csv=_CSV.value)
    paths = image_paths(argv[1:])
    if _CROP.value != NONE:
        cli.start_tensorflow()
    from dfk.serving.client import Client

    with Client(
        _SERVER.value, _MODEL.value, _VERSION.value, _TIMEOUT.value
    ) as client:
        return output.exit_status(
            output.print_predictions(client, paths, _CROP.value, form)
        )


def _check(argv: Sequence[str]) -> int:
    from dfk.serving.client import Client

    cli.no_arguments(argv)
    with Client(
        _SERVER.value, _MODEL.value, _VERSION.value, _TIMEOUT.value
    ) as client:
        print(f"{client.name}, version {client.check()}, answers.")
    return 0


if __name__ == "__main__":
    cli.run(main)
