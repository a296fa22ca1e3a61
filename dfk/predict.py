"""Says of pictures whether they are real or fake, without a server.

    python -m dfk.predict IMAGE... --model=RUN|SAVED_MODEL|FILE.keras

Prints a table, or with --json one JSON object a line. The exit status is 1
if a picture could not be answered; the others are answered all the same.
"""

from collections.abc import Sequence

from absl import flags

from dfk import cli
from dfk.errors import UserError

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "The detector: a run, a folder below saved_models, or a .keras file.",
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON lines.")
_FACES = flags.DEFINE_bool("faces", False, "Find faces and judge each.")


def main(argv: Sequence[str]) -> int:
    """Judges the pictures named on the command line."""
    if not _MODEL.value:
        raise UserError(
            "No detector was named: pass --model with a run, a folder below "
            "saved_models, or a .keras file."
        )
    cli.start_tensorflow()
    from dfk.serving import local
    from dfk.serving.report import print_answers

    detector = local.load(_MODEL.value)
    return print_answers(detector, argv[1:], _FACES.value, _JSON.value)


if __name__ == "__main__":
    cli.run(main)
