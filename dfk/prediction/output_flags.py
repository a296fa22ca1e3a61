"""Flags that `dfk.predict` and `dfk.query` have in common."""

from absl import flags

from dfk.errors import UserError
from dfk.prediction.crops import AUTO, CROPS
from dfk.prediction.predictions import CSV, JSON, TABLE

CROP = flags.DEFINE_enum(
    "crop",
    AUTO,
    CROPS,
    "What of a picture is predicted: each face in it; none, all of it; or "
    "auto, its faces, but all of a picture that is the crop of a face already. "
    "Except with none, what is asked about is first stored as training faces "
    "are, as a JPEG of 224 to 256 pixels.",
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON lines.")
_CSV = flags.DEFINE_bool("csv", False, "Print comma-separated values.")


def output_format() -> str:
    """What `dfk.prediction.output` is to print: `table`, `json` or `csv`.

    Raises:
        UserError: the flags ask for two.
    """
    if _JSON.value and _CSV.value:
        raise UserError("--json and --csv exclude each other: pass one.")
    if _JSON.value:
        return JSON
    return CSV if _CSV.value else TABLE
