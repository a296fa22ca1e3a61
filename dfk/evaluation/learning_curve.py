"""Learning curves: how good a detector gets with more training images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dfk.errors import UserError
from dfk.evaluation.metrics import TITLES
from dfk.evaluation.plots import write_figure
from dfk.evaluation.rows import Row, describe

_METRICS = ("accuracy", "roc_auc")
_COLORS = colormaps["tab10"].colors
_MARKERS = "osD^vP*X"


def curves(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Groups the rows that differ only in their number of training images.

    Args:
        rows: of a comparison.

    Returns:
        The rows of each detector, at least two, the fewest training images
        first. The key is its name, with what sets it apart from others.

    Raises:
        UserError: no detector was trained on several numbers of images.

    Example:
        >>> list(curves(compare(["runs/cnn-350", "runs/cnn"]).rows))
        ['cnn']
    """
    # A combination of trained detectors was not trained itself.
    trained = [row for row in rows if "images" in row.runs[0].training]
    # The recipes train on more images for fewer epochs.
    lines = _alike_but_for(trained, "limit", "epochs")
    if any(len(set(map(images, line))) < len(line) for line in lines.values()):
        lines = _alike_but_for(trained, "limit")
    lines = {
        label: sorted(line, key=images)
        for label, line in lines.items()
        if len({images(row) for row in line}) > 1
    }
    if not lines:
        received = ", ".join(
            f"{row.label} with {images(row):,}" for row in trained
        )
        raise UserError(
            "A learning curve needs runs of one detector on several numbers "
            "of pictures (`python -m dfk.train --limit=N`). Received: "
            f"{received or 'no detector that was trained'}."
        )
    return lines


def _alike_but_for(rows: Sequence[Row], *names: str) -> dict[str, list[Row]]:
    """Groups rows by detector and settings, except the named settings."""
    ignored = dict.fromkeys(names)
    configs = [row.runs[0].config | ignored for row in rows]
    lines: dict[str, list[Row]] = {}
    for row, config in zip(rows, configs, strict=True):
        apart = describe(config, configs)
        label = row.detector + (f" ({apart})" if apart else "")
        lines.setdefault(label, []).append(row)
    return lines


def images(row: Row) -> int:
    """How many images a row's detector was trained on."""
    return row.runs[0].training["images"]


def write(path: Path, rows: Sequence[Row], title: str) -> Path:
    """Draws accuracy and ROC AUC against the number of training images.

    Args:
        path: of the PNG file.
        rows: of a comparison; those without another row of the same settings
            are left out. Several seeds are drawn as their mean and range.
        title: what was scored.

    Returns:
        The path.

    Raises:
        UserError: no detector was trained on several numbers of images.

    Example:
        >>> write(Path("curve.png"), comparison.rows, "faces, test")
    """
    lines = curves(rows)

    def draw(figure: Figure) -> None:
        figure.suptitle(title, x=0.02, ha="left", fontweight="bold")
        panels = figure.subplots(1, len(_METRICS))
        for axes, metric in zip(panels, _METRICS, strict=True):
            draw_curves(axes, lines, metric)
            axes.set_ylabel(TITLES[metric])
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside lower left",
            ncols=2,
        )

    return write_figure(path, draw, (9.6, 5.2))


def draw_curves(axes: Axes, lines: dict[str, list[Row]], metric: str) -> None:
    """Draws a metric against the number of training images.

    Args:
        axes: empty.
        lines: what `curves` returned.
        metric: `accuracy` or `roc_auc`.
    """
    for number, (label, line) in enumerate(lines.items()):
        values = [row.values(metric) for row in line]
        means = np.array([np.mean(seeds) for seeds in values])
        lows = means - [min(seeds) for seeds in values]
        highs = [max(seeds) for seeds in values] - means
        axes.errorbar(
            [images(row) for row in line],
            means,
            yerr=[lows, highs],
            color=_COLORS[number % len(_COLORS)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=8,
            elinewidth=1.5,
            capsize=4,
            label=label,
        )
    # Each doubling is a step of equal width.
    axes.set_xscale("log", base=2)
    ticks = sorted({images(row) for line in lines.values() for row in line})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.1)
    axes.set_xlabel("training pictures")
    if metric == "accuracy":
        axes.yaxis.set_major_formatter("{x:.0%}")
