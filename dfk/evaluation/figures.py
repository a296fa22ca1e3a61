"""How every plot looks, and how it gets into a file."""

import os
from collections.abc import Callable
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Blue and vermilion stay apart for the colour-blind, and in print.
COLORS = {"real": "#1f6fb4", "fake": "#d1491b"}
INK, FAINT = "#22272e", "#d5dae1"
STYLE = {
    "axes.edgecolor": "#8b949e",
    "axes.labelcolor": INK,
    "axes.labelpad": 8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 16,
    "axes.titlesize": 17,
    "axes.titleweight": "bold",
    "font.size": 14,
    "legend.frameon": False,
    "lines.linewidth": 2.6,
    "text.color": INK,
    # Names of files and folders are no formulas.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def write(
    path: Path,
    draw: Callable[[Figure], None],
    size: tuple[float, float],
    dpi: int = 150,
) -> Path:
    """Draws a figure and saves it, whole or not at all.

    It does without pyplot, whose state belongs to the user.

    Args:
        path: of the file, a PNG; its folder is made if it is missing.
        draw: puts everything into the empty figure.
        size: width and height in inches.
        dpi: pixels an inch.

    Returns:
        The path.

    Example:
        >>> write(Path("a.png"), lambda figure: figure.add_subplot(), (4, 3))
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure = Figure(size, dpi=dpi, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)
        FigureCanvasAgg(figure)
        draw(figure)
        partial = path.with_name(path.name + ".partial")
        figure.savefig(partial, format="png")
    os.replace(partial, path)
    return path
