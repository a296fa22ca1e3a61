"""Reading a trained detector back."""

import json
import zipfile
from pathlib import Path

import keras

from dfk import FORMAT, __version__
from dfk.errors import UserError
from dfk.models.parts import REQUIRED
from dfk.runs import refuse_repeats

_UNREADABLE = (OSError, zipfile.BadZipFile, ValueError, TypeError, KeyError)


def load(path: str | Path) -> keras.Model:
    """Loads a detector from a run's folder or a `.keras` file.

    Args:
        path: what `dfk.train` or `dfk.export` wrote.

    Returns:
        The detector, with its calibration.

    Raises:
        UserError: there is no detector at that path, or one of another
            format.

    Example:
        >>> detector = load("runs/facenet")
        >>> detector(tf.zeros([1, 128, 128, 3]))
    """
    refuse_repeats(path)
    path = Path(path).expanduser()
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"No detector at {path}: pass the folder of a finished run, or a "
            ".keras file."
        )
    try:
        found = _format(file)
        if found not in (None, FORMAT):
            raise other_format(file, found)
        detector = keras.models.load_model(file)
        for name in REQUIRED:
            detector.get_layer(name)
        return detector
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{file} is not a detector that dfk wrote ({reason}): pass the "
            "folder of a run, or a .keras file from one."
        ) from error


def other_format(path: Path, found: int) -> UserError:
    """The error of a detector that another version of dfk wrote.

    Args:
        path: the detector.
        found: the number of its format.
    """
    return UserError(
        f"{path} was made by another version of dfk, in format {found}, and "
        f"this is dfk {__version__}, which reads format {FORMAT}: train or "
        "export it again."
    )


def _format(file: Path) -> int | None:
    """The format of a detector, or None of what is no detector of ours.

    It is a number in the layer that scores. The first format had none, and
    its layers, whose names have changed, could not be loaded to be asked.
    """
    if not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
    formats = [
        layer["config"].get("format", 1)
        for layer in config["config"].get("layers", [])
        if str(layer.get("registered_name")).startswith("dfk>")
    ]
    return max(formats, default=None)
