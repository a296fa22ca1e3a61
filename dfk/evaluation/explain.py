"""Explains the predictions of image files, one drawing each."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from dfk.errors import UserError
from dfk.evaluation.heat_maps import Region, draw, heat_maps
from dfk.images import decode, faces
from dfk.prediction.predictions import FacePrediction, Prediction


def explain(
    detector: keras.Model, predictions: Sequence[Prediction], output: Path
) -> list[Path]:
    """Draws the heat, the faces, the scores and the verdicts of images.

    Args:
        detector: the Keras model that predicted.
        predictions: of image files; those with an error are left out.
        output: of the drawing; of several images `out.png` becomes
            `out-1.png`, `out-2.png` and so on, in the order of the
            predictions. An image that was named twice is drawn once.

    Returns:
        The drawings, one for each image with a verdict.

    Raises:
        UserError: the drawing cannot be written.

    Example:
        >>> loaded = dfk.load("runs/facenet")
        >>> predictions = loaded.predict(["face.jpg"])
        >>> explain(loaded.detector, predictions, Path("out.png"))
        [PosixPath('out.png')]
    """
    by_image = {prediction.image: prediction for prediction in predictions}
    paths = []
    for number, prediction in enumerate(by_image.values(), 1):
        if prediction.error is not None:
            continue
        path = output
        if len(by_image) > 1:
            path = output.with_stem(f"{output.stem}-{number}")
        file = Path(prediction.image)
        pixels = decode.read(file.read_bytes()).numpy()
        title = f"{prediction.detector}: {file.name}"
        regions = _regions(detector, pixels, prediction)
        try:
            draw(path, pixels, regions, title)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}): pass another "
                "--explain."
            ) from error
        paths.append(path)
    return paths


def _regions(
    detector: keras.Model, pixels: np.ndarray, prediction: Prediction
) -> list[Region]:
    found = prediction.faces or [prediction]
    boxes = [_box(pixels, part) for part in found]
    size = detector.input_shape[1]
    seen = [
        decode.center_crop_resize(
            pixels[top : top + side, left : left + side], size
        )
        for left, top, side in boxes
    ]
    verdicts = [part.verdict for part in found]
    heat = heat_maps(detector, np.stack(seen), verdicts)
    return [
        Region(
            box,
            part.box if prediction.faces else None,
            warmth,
            _caption(part),
            part.verdict,
        )
        for box, part, warmth in zip(boxes, found, heat, strict=True)
    ]


def _box(
    pixels: np.ndarray, part: Prediction | FacePrediction
) -> tuple[int, int, int]:
    """The square that the detector saw."""
    height, width = pixels.shape[:2]
    if isinstance(part, FacePrediction):
        face = faces.Face(part.box, part.confidence, ())
        return faces.crop_square(face, height, width)
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _caption(part: Prediction | FacePrediction) -> str:
    reason = f" ({part.reason})" if part.reason else ""
    shown = "real" if part.verdict == "real" else "fake"
    return (
        f"P(fake) {part.fake_probability:.3f}: {part.verdict}{reason}. "
        f"Bright is what speaks for {shown}."
    )
