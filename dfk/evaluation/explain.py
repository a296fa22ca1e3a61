"""Explains the answers about image files, one drawing each."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from dfk.errors import UserError
from dfk.evaluation.explanations import heat_maps
from dfk.evaluation.overlays import Region, draw
from dfk.images import decode, faces
from dfk.prediction.predictions import Record


def explain(
    detector: keras.Model, records: Sequence[Record], output: Path
) -> list[Path]:
    """Draws the heat, the faces, the scores and the verdicts of images.

    Args:
        detector: who gave the answers.
        records: what `dfk.prediction.predictions.ask` gave; errors are left
            out.
        output: of the drawing; of several images `out.png` becomes
            `out-1.png`, `out-2.png` and so on, in the order of the records.

    Returns:
        The drawings, one for each image that was answered.

    Raises:
        UserError: the drawing cannot be written.

    Example:
        >>> explain(load("runs/facenet"), list(ask(...)), Path("out.png"))
        [PosixPath('out.png')]
    """
    answered: dict[str, list[Record]] = {}
    for record in records:
        found = answered.setdefault(record.image, [])
        # An image may have been named twice.
        if record.error is None and record not in found:
            found.append(record)
    paths = []
    for number, (image, found) in enumerate(answered.items(), 1):
        if not found:
            continue
        path = output
        if len(answered) > 1:
            path = output.with_stem(f"{output.stem}-{number}")
        pixels = decode.read(Path(image).read_bytes()).numpy()
        title = f"{found[0].model}: {Path(image).name}"
        regions = _regions(detector, pixels, found)
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
    detector: keras.Model, pixels: np.ndarray, records: Sequence[Record]
) -> list[Region]:
    boxes = [_box(pixels, record) for record in records]
    size = detector.input_shape[1]
    seen = [
        decode.center_crop_resize(
            pixels[top : top + side, left : left + side], size
        )
        for left, top, side in boxes
    ]
    verdicts = [record.verdict for record in records]
    heat = heat_maps(detector, np.stack(seen), verdicts)
    return [
        Region(
            box,
            tuple(record.face["box"]) if record.face else None,
            warmth,
            _words(record),
            record.verdict,
        )
        for box, record, warmth in zip(boxes, records, heat, strict=True)
    ]


def _box(pixels: np.ndarray, record: Record) -> tuple[int, int, int]:
    """The square that the detector saw."""
    height, width = pixels.shape[:2]
    if record.face:
        face = faces.Face(tuple(record.face["box"]), 1.0, ())
        return faces.crop_square(face, height, width)
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _words(record: Record) -> str:
    reason = f" ({record.reason})" if record.reason else ""
    side = "real" if record.verdict == "real" else "fake"
    return (
        f"P(fake) {record.fake_probability:.3f}: {record.verdict}{reason}. "
        f"Bright is what speaks for {side}."
    )
