"""Asks a model server about pictures: real or fake?

    python -m dfk.query IMAGE... [--server=HOST:PORT] [--model=NAME]
    python -m dfk.query --check --timeout=3

Prints a table, or with --json one JSON object a picture, each on a line of its
own. With --faces, faces are found here, the server is asked about each of them,
and the verdict of a picture is that of its most suspicious face. The exit
status is 1 if any picture could not be predicted; the others are predicted
all the same. With --check it only says whether the model answers, for a health
check: status 0 if it does, and 1 if not.
"""

from collections.abc import Sequence

from absl import flags

from dfk import cli

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
_FACES = flags.DEFINE_bool("faces", False, "Find faces and ask about each.")
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
    if _FACES.value:
        cli.start_tensorflow()
    from dfk.prediction.table import exit_status, print_predictions
    from dfk.serving.client import Client

    with Client(
        _SERVER.value, _MODEL.value, _VERSION.value, _TIMEOUT.value
    ) as client:
        return exit_status(
            print_predictions(client, argv[1:], _FACES.value, _JSON.value)
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
