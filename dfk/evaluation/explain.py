"""Explains the predictions of image files, one drawing each."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dfk.errors import UserError
from dfk.evaluation.heat_maps import COLOR_MAP, heat_maps, heated
from dfk.evaluation.plots import INK
from dfk.files import replacing
from dfk.images import decode, faces
from dfk.prediction.annotate import COLORS, drawing_paths, pixels_of
from dfk.prediction.crops import AUTO, NONE
from dfk.prediction.predictions import FacePrediction, Prediction

# Small images are shown enlarged, large ones reduced, in pixels.
_SHOWN = 900
_DPI = 150
# A face below this share of the image's longer side is shown enlarged as
# well, as long as there are not too many.
_SMALL = 1 / 3
_MOST_ENLARGED = 4


def explain(
    detector: keras.Model,
    predictions: Sequence[Prediction],
    folder: Path,
    crop: str = AUTO,
) -> list[Path]:
    """Draws the heat, the faces, the scores and the verdicts of images.

    Args:
        detector: the Keras model that predicted.
        predictions: of image files; those without a score, and those of
            bytes, are left out.
        folder: of the drawings, which have the images' names. It is made if
            it is missing.
        crop: how they were predicted, as in `LoadedDetector.predict`.

    Returns:
        The drawings, one for each image with a verdict.

    Raises:
        UserError: the drawing cannot be written.

    Example:
        >>> loaded = dfk.load("runs/facenet")
        >>> predictions = loaded.predict(["face.jpg"])
        >>> explain(loaded.detector, predictions, Path("heat"))
        [PosixPath('heat/face-heat.png')]
    """
    drawings = drawing_paths(predictions, folder, "heat")
    for prediction, path in drawings:
        file = Path(prediction.image)
        pixels = pixels_of(prediction)
        # A name that is not in UTF-8 has signs that no font can draw.
        name = os.fsencode(file.name).decode(errors="replace")
        title = f"{prediction.detector}: {name}"
        regions = _regions(detector, pixels, prediction, crop)
        try:
            _draw(path, pixels, regions, title)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}): pass another "
                "--explain."
            ) from error
    return [path for _, path in drawings]


class Region(NamedTuple):
    """A part of an image with a verdict of its own.

    Args:
        box: `(left, top, side)` of the square that the detector saw, in
            pixels of the image.
        face: `(x, y, width, height)` of the face in it, or None.
        heat: float `[S, S]` in 0..1, see `heat_maps`.
        text: a sentence about it.
        verdict: `real`, `fake` or `uncertain`.
    """

    box: tuple[int, int, int]
    face: tuple[int, int, int, int] | None
    heat: np.ndarray
    text: str
    verdict: str


def _regions(
    detector: keras.Model,
    pixels: np.ndarray,
    prediction: Prediction,
    crop: str,
) -> list[Region]:
    found = prediction.faces or [prediction]
    boxes = [_box(pixels, part) for part in found]
    size = detector.input_shape[1]
    seen = [_seen(pixels, box, size, prediction, crop) for box in boxes]
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


def _seen(
    pixels: np.ndarray,
    box: tuple[int, int, int],
    size: int,
    prediction: Prediction,
    crop: str,
) -> np.ndarray:
    """What the detector saw of a square, as `dfk.prediction.crops` crops."""
    left, top, side = box
    square = pixels[top : top + side, left : left + side]
    if crop == NONE:
        return decode.center_crop_resize(square, size)
    asked_about = square if prediction.faces else pixels
    return decode.decode(faces.stored_jpeg(asked_about), size)


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
        f"Bright regions are evidence for {shown}."
    )


def _draw(
    path: Path, pixels: np.ndarray, regions: Sequence[Region], title: str
) -> None:
    """Writes an image with its heat maps, its faces and their verdicts.

    Args:
        path: of the PNG file; its folder is made if it is missing.
        pixels: uint8 `[H, W, 3]`, the whole image.
        regions: its parts with verdicts.
        title: stands above.
    """
    pixels = pixels.copy()
    for region in regions:
        part = _part(region)
        pixels[part] = heated(pixels[part], region.heat)
    longer = max(pixels.shape[:2])
    small = [x for x in regions if x.face and x.box[2] < _SMALL * longer]
    small = small[:_MOST_ENLARGED]
    height, width = np.array(pixels.shape[:2]) * _SHOWN / longer / _DPI
    width = max(4.0, width)
    # A single one need not fill the whole width.
    columns = max(2, len(small))
    heights = [height, width / columns] if small else [height]
    figure = Figure((width, sum(heights) + 1.4), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    axes = _show(figure.add_subplot(grid[0, :]), pixels)
    axes.set_title(title, loc="left", fontsize=10, color=INK, wrap=True)
    for number, region in enumerate(regions, 1):
        _frame(axes, region, f" {number} " if len(regions) > 1 else "")
    for column, region in enumerate(small):
        close = _show(
            figure.add_subplot(grid[1, column]), pixels[_part(region)]
        )
        if len(regions) > 1:
            close.set_title(f"{column + 1}", fontsize=10)
    _add_scale(figure)
    _write_texts(figure, regions)
    with replacing(path) as partial:
        figure.savefig(
            partial, format="png", facecolor="white", bbox_inches="tight"
        )


def _part(region: Region) -> tuple[slice, slice]:
    left, top, side = region.box
    return np.s_[top : top + side, left : left + side]


def _show(axes: Axes, pixels: np.ndarray) -> Axes:
    enlarged = max(pixels.shape[:2]) < _SHOWN / 2
    axes.imshow(pixels, interpolation="nearest" if enlarged else "antialiased")
    axes.set_axis_off()
    return axes


def _frame(axes: Axes, region: Region, number: str) -> None:
    if not region.face:
        return
    x, y, width, height = region.face
    color = COLORS[region.verdict]
    axes.add_patch(Rectangle((x, y), width, height, fill=False, ec=color, lw=2))
    if number:
        axes.text(x, y, number, color="white", backgroundcolor=color)


def _add_scale(figure: Figure) -> None:
    scale = figure.colorbar(
        ScalarMappable(cmap=COLOR_MAP),
        ax=figure.axes,
        location="bottom",
        aspect=40,
        pad=0.02,
    )
    scale.set_ticks([0, 1], labels=["no evidence", "most in this face"])
    for label, side in zip(
        scale.ax.get_xticklabels(), ("left", "right"), strict=True
    ):
        label.set_horizontalalignment(side)
    scale.ax.tick_params(labelsize=8, length=0, colors=INK)
    scale.outline.set_visible(False)


def _write_texts(figure: Figure, regions: Sequence[Region]) -> None:
    numbered = len(regions) > 1
    # In characters of the font size below.
    room = int(12 * figure.get_figwidth())
    lines = [
        textwrap.fill((f"{number}. " if numbered else "") + region.text, room)
        for number, region in enumerate(regions, 1)
    ]
    color = INK if numbered else COLORS[regions[0].verdict]
    figure.supxlabel(
        "\n".join(lines), x=0.02, ha="left", fontsize=11, color=color
    )
