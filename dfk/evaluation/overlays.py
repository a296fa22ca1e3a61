"""Draws what a detector says, and where it saw it, over the image."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from dfk.evaluation.figures import COLORS, INK

# Dark where there is nothing, bright where there is most; read alike by the
# colour-blind.
_COLORS = matplotlib.colormaps["inferno"]
_OPACITY = 0.75
_UNDECIDED = "#8a5a00"
# Small images are shown enlarged, large ones reduced, in pixels.
_SHOWN = 900
_DPI = 150
# A face below this share of the image's longer side is shown enlarged as
# well, as long as there are not too many.
_SMALL = 1 / 3
_MOST_ENLARGED = 4


class Region(NamedTuple):
    """A part of an image that was judged by itself.

    Args:
        box: `(left, top, side)` of the square that the detector saw, in
            pixels of the image.
        face: `(x, y, width, height)` of the face in it, or None.
        heat: float `[S, S]` in 0..1, see `explanations.heat_maps`.
        words: what the detector says of it.
        verdict: `real`, `fake` or `uncertain`.
    """

    box: tuple[int, int, int]
    face: tuple[int, int, int, int] | None
    heat: np.ndarray
    words: str
    verdict: str


def heated(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lays a heat map over an image.

    Args:
        pixels: uint8 `[H, W, 3]`.
        heat: float `[h, w]` in 0..1; it is stretched over the image.

    Returns:
        uint8 `[H, W, 3]`.

    Example:
        >>> heated(np.zeros([8, 8, 3], "uint8"), np.ones([4, 4])).shape
        (8, 8, 3)
    """
    height, width = pixels.shape[:2]
    stretched = np.asarray(
        Image.fromarray(heat.astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
    )[..., None]
    colors = 255 * _COLORS(stretched[..., 0])[..., :3]
    opacity = _OPACITY * np.clip(stretched, 0, 1)
    mixed = (1 - opacity) * pixels + opacity * colors
    return np.round(mixed).astype(np.uint8)


def draw(
    path: Path, pixels: np.ndarray, regions: Sequence[Region], title: str
) -> None:
    """Writes an image with its heat, its faces and what was said of them.

    Args:
        path: of the PNG file; its folder is made if it is missing.
        pixels: uint8 `[H, W, 3]`, the whole image.
        regions: what was judged in it.
        title: stands above.

    Example:
        >>> draw(Path("out.png"), pixels, [region], "facenet: ann.jpg")
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
    _write_words(figure, regions)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    figure.savefig(
        partial, format="png", facecolor="white", bbox_inches="tight"
    )
    os.replace(partial, path)


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
    color = COLORS.get(region.verdict, _UNDECIDED)
    axes.add_patch(Rectangle((x, y), width, height, fill=False, ec=color, lw=2))
    if number:
        axes.text(x, y, number, color="white", backgroundcolor=color)


def _add_scale(figure: Figure) -> None:
    scale = figure.colorbar(
        ScalarMappable(cmap=_COLORS),
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


def _write_words(figure: Figure, regions: Sequence[Region]) -> None:
    numbered = len(regions) > 1
    # In characters of the font size below.
    room = int(12 * figure.get_figwidth())
    lines = [
        textwrap.fill((f"{number}. " if numbered else "") + region.words, room)
        for number, region in enumerate(regions, 1)
    ]
    color = INK if numbered else COLORS.get(regions[0].verdict, _UNDECIDED)
    figure.supxlabel(
        "\n".join(lines), x=0.02, ha="left", fontsize=11, color=color
    )
