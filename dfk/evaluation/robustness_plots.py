"""The plot of what is left of a detector under each corruption."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfk.evaluation import metrics
from dfk.evaluation.plots import COLORS, FAINT, write_figure

_CURVES = {
    "accuracy": (COLORS["fake"], "o-"),
    "roc_auc": (COLORS["real"], "s-"),
}
_COLUMNS = 2


def write(path: Path, record: dict[str, Any]) -> Path:
    """Draws accuracy and ROC AUC against the levels of each corruption.

    Args:
        path: of the PNG file; its folder is made if it is missing.
        record: what `dfk.evaluation.robustness.summary` returned.

    Returns:
        The path.

    Example:
        >>> write(Path("plots/robustness-faces-test.png"), record)
    """
    names = list(record["corruptions"])
    rows = -(-len(names) // _COLUMNS)

    def draw(figure: Figure) -> None:
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.12)
        panels = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False)
        for name, axes in zip(names, panels.flat, strict=False):
            draw_corruption(axes, name, record)
        for axes in panels.flat[len(names) :]:
            axes.set_axis_off()
        figure.legend(
            *panels[0, 0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=3,
            columnspacing=1.2,
            handlelength=1.6,
        )

    return write_figure(path, draw, (6.4, 1 + 2.5 * rows))


def draw_corruption(axes: Axes, name: str, record: dict[str, Any]) -> None:
    """Draws accuracy and ROC AUC against the levels of one corruption.

    Args:
        axes: empty.
        name: the corruption's.
        record: what `dfk.evaluation.robustness.summary` returned.
    """
    corruption = record["corruptions"][name]
    cells = [record["clean"], *corruption["cells"]]
    for curve, (color, style) in _CURVES.items():
        values = [cell[curve] for cell in cells]
        if None in values:
            continue
        axes.axhline(values[0], color=color, linestyle="--", linewidth=1)
        label = metrics.TITLES[curve]
        axes.plot(values, style, color=color, label=label, linewidth=2)
    axes.axhline(0.5, color=FAINT, label="guessing", zorder=1)
    axes.set_title(name.replace("_", " "), fontsize=14, pad=8)
    axes.set_xlabel(corruption["unit"], fontsize=12, labelpad=4)
    levels = [f"{cell['level']:g}" for cell in corruption["cells"]]
    axes.set_xticks(range(len(cells)), ["clean", *levels], fontsize=11)
    axes.set_ylim(top=1.02)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:.0%}")
