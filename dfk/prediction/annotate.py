"""Draws images with their faces and verdicts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dfk.errors import UserError
from dfk.files import replacing
from dfk.images import decode
from dfk.prediction.inputs import encoded
from dfk.prediction.predictions import FacePrediction, Prediction

COLORS = {"real": "#1f6fb4", "fake": "#d1491b", "uncertain": "#8a5a00"}
# Of the image's longer side.
_LINE, _TEXT = 1 / 300, 1 / 40


def pixels_of(prediction: Prediction) -> np.ndarray:
    """The pixels of a predicted image file, as they were scored.

    Args:
        prediction: one with a score.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        UserError: the file has gone.
    """
    _, data, error, _ = encoded(prediction.image)
    if error is not None:
        raise UserError(f"{prediction.image} {error}: put it back.")
    return decode.read(data).numpy()


def drawing_paths(
    predictions: Sequence[Prediction], folder: Path, kind: str
) -> list[tuple[Prediction, Path]]:
    """Where the drawings of predictions go.

    Args:
        predictions: of image files; those without a score, and those of
            bytes, are left out.
        folder: of the drawings.
        kind: what is drawn, which ends their names.

    Returns:
        Each prediction that can be drawn, with a path that has the name of its
        image; of several of one name, with a number.

    Example:
        >>> drawing_paths(predictions, Path("out"), "heat")[1][1]
        PosixPath('out/photo-2-heat.png')
    """
    found, names = [], set()
    for prediction in predictions:
        if prediction.image is None or prediction.fake_probability is None:
            continue
        stem = Path(prediction.image).stem
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.add(name)
        found.append((prediction, folder / f"{name}-{kind}.png"))
    return found


def annotate(predictions: Sequence[Prediction], folder: Path) -> list[Path]:
    """Draws boxes with verdicts into images.

    Args:
        predictions: as for `drawing_paths`.
        folder: of the drawings. It is made if it is missing.

    Returns:
        The drawings.

    Raises:
        UserError: one cannot be written.

    Example:
        >>> annotate(detector.predict(["photo.jpg"]), Path("out"))
        [PosixPath('out/photo-faces.png')]
    """
    drawings = drawing_paths(predictions, folder, "faces")
    for prediction, path in drawings:
        drawn = Image.fromarray(pixels_of(prediction))
        whole = (0, 0, *drawn.size)
        for part in prediction.faces or [prediction]:
            box = part.box if prediction.faces else whole
            _draw(ImageDraw.Draw(drawn), box, part, max(drawn.size))
        try:
            with replacing(path) as partial:
                drawn.save(partial, "PNG")
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}): pass another "
                "--annotate."
            ) from error
    return [path for _, path in drawings]


def _draw(
    canvas: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    part: Prediction | FacePrediction,
    longer: int,
) -> None:
    left, top, width, height = box
    color = COLORS[part.verdict]
    canvas.rectangle(
        (left, top, left + width - 1, top + height - 1),
        outline=color,
        width=max(1, round(longer * _LINE)),
    )
    font = ImageFont.load_default(max(10, longer * _TEXT))
    text = f" {part.verdict} {part.fake_probability:.2f} "
    _, _, right, bottom = canvas.textbbox((0, 0), text, font)
    # Above the box, or in it where it reaches the border.
    place = (max(0, left), top - bottom if top >= bottom else max(0, top))
    canvas.rectangle((*place, place[0] + right, place[1] + bottom), fill=color)
    canvas.text(place, text, "white", font)
