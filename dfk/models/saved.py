"""Reading a trained detector back."""

import json
import zipfile
from pathlib import Path

import keras

from dfk.errors import UserError
from dfk.models.parts import REQUIRED
from dfk.runs import refuse_repeats, require_format

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
        _require_format(file)
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


def _require_format(file: Path) -> None:
    """Refuses a detector of another format, before its layers are looked up.

    The format is a number in the layer that scores. In the first format there
    was none. What has no layer of ours is refused later, by what it lacks.
    """
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
    formats = [
        layer["config"].get("format", 1)
        for layer in config["config"].get("layers", [])
        if str(layer.get("registered_name")).startswith("dfk>")
    ]
    if formats:
        require_format(file, {"format": max(formats)})
