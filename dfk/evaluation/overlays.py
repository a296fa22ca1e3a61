"""Draws what a detector says, and where it saw it, over the picture."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from dfk.evaluation.plots import COLORS, INK

# Dark where there is nothing, bright where there is most; read alike by the
# colour-blind.
_COLORS = matplotlib.colormaps["inferno"]
_OPACITY = 0.75
_UNDECIDED = "#8a5a00"
# Small pictures are shown enlarged, large ones reduced, in pixels.
_SHOWN = 900


class Region(NamedTuple):
    """A part of a picture that was judged by itself.

    Args:
        box: `(left, top, side)` of the square that the detector saw, in
            pixels of the picture.
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
    """Lays a heat map over a picture.

    Args:
        pixels: uint8 `[H, W, 3]`.
        heat: float `[h, w]` in 0..1; it is stretched over the picture.

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
    """Writes a picture with its heat, its faces and what was said of them.

    Args:
        path: of the PNG file; its folder is made if it is missing.
        pixels: uint8 `[H, W, 3]`, the whole picture.
        regions: what was judged in it.
        title: stands above.

    Example:
        >>> draw(Path("out.png"), pixels, [region], "facenet: ann.jpg")
    """
    pixels = pixels.copy()
    for region in regions:
        left, top, side = region.box
        part = np.s_[top : top + side, left : left + side]
        pixels[part] = heated(pixels[part], region.heat)
    height, width = pixels.shape[:2]
    scale = _SHOWN / max(height, width)
    figure = Figure(
        (max(4.0, width * scale / 150), height * scale / 150 + 1.2),
        dpi=150,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(pixels, interpolation="nearest" if scale > 2 else "antialiased")
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=10, color=INK, wrap=True)
    for number, region in enumerate(regions, 1):
        color = COLORS.get(region.verdict, _UNDECIDED)
        if region.face:
            x, y, w, h = region.face
            axes.add_patch(Rectangle((x, y), w, h, fill=False, ec=color, lw=2))
            if len(regions) > 1:
                axes.text(
                    x, y, f" {number} ", color="white", backgroundcolor=color
                )
    numbered = len(regions) > 1
    # In characters of the font size below.
    room = int(12 * figure.get_figwidth())
    lines = [
        textwrap.fill((f"{number}. " if numbered else "") + region.words, room)
        for number, region in enumerate(regions, 1)
    ]
    figure.supxlabel(
        "\n".join(lines),
        x=0.02,
        ha="left",
        fontsize=11,
        color=COLORS.get(regions[0].verdict, _UNDECIDED)
        if len(regions) == 1
        else INK,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, format="png", facecolor="white")
    os.replace(partial, path)
