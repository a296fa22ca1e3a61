"""Says of pictures whether they are real or fake, without a server.

    python -m dfk.predict IMAGE... --model=RUN|SAVED_MODEL|FILE.keras

Prints a table, or with --json one JSON object a picture, each on a line of its
own. With --faces, each face in a picture is predicted, and the verdict of the
picture is that of its most suspicious face. The exit status is 1 if any picture
could not be predicted; the others are predicted all the same.

With --explain=OUT.png it also draws a heat map of the evidence for the verdict
over the picture, with the face, the score and the verdict; of several pictures
OUT-1.png, OUT-2.png and so on.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.files import expanded

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "The detector: a run, a folder below saved_models, or a .keras file.",
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON lines.")
_FACES = flags.DEFINE_bool("faces", False, "Find faces and predict each.")
_EXPLAIN = flags.DEFINE_string(
    "explain", None, "Draw the explanation into this PNG file."
)


def main(argv: Sequence[str]) -> int:
    """Predicts the images named on the command line."""
    if not _MODEL.value:
        raise UserError(
            "No detector was named: pass --model with a run, a folder below "
            "saved_models, or a .keras file."
        )
    if _EXPLAIN.value and Path(_EXPLAIN.value).suffix.lower() != ".png":
        raise UserError(
            "Explanations are PNG files: pass --explain=OUT.png. Received: "
            f"--explain={_EXPLAIN.value}."
        )
    cli.start_tensorflow()
    from dfk.prediction.detector import load
    from dfk.prediction.table import exit_status, print_predictions

    loaded = load(_MODEL.value)
    if _EXPLAIN.value and loaded.detector is None:
        raise UserError(
            f"{_MODEL.value} is a SavedModel, which keeps no gradients: pass "
            "--model with the run, or with the model.keras beside the "
            "SavedModel."
        )
    predictions = print_predictions(loaded, argv[1:], _FACES.value, _JSON.value)
    if _EXPLAIN.value:
        from dfk.evaluation.explain import explain

        for path in explain(
            loaded.detector, predictions, expanded(_EXPLAIN.value)
        ):
            print(f"Drawn: {path}", file=sys.stderr)
    return exit_status(predictions)


if __name__ == "__main__":
    cli.run(main)
