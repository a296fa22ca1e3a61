"""Reading a trained detector back."""

from pathlib import Path

import keras

from dfk.errors import UserError
from dfk.models.parts import REQUIRED
from dfk.runs import refuse_repeats


def load(path: str | Path) -> keras.Model:
    """Loads a detector from a run's folder or a `.keras` file.

    Args:
        path: what `dfk.train` or `dfk.export` wrote.

    Returns:
        The detector, with its calibration.

    Raises:
        UserError: there is no detector at that path.

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
        detector = keras.models.load_model(file)
        for name in REQUIRED:
            detector.get_layer(name)
        return detector
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{file} is not a detector that dfk wrote ({reason}): pass the "
            "folder of a run, or a .keras file from one."
        ) from error
