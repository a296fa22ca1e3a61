"""The plots of an evaluation, sized to be read on a phone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from dfk.data.folders import LABELS
from dfk.evaluation import metrics
from dfk.files import replacing

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
BINS = 25

_GUESSING = {"color": FAINT, "linestyle": "--", "linewidth": 1.5}


def write_figure(
    path: Path,
    draw: Callable[[Figure], None],
    size: tuple[float, float],
    dpi: int = 150,
) -> Path:
    """Draws a figure in the style of all plots and saves it.

    It does without pyplot, whose state belongs to the user.

    Args:
        path: of the file, a PNG; its folder is made if it is missing.
        draw: puts everything into the empty figure.
        size: width and height in inches.
        dpi: pixels an inch.

    Returns:
        The path.

    Example:
        >>> write_figure(Path("a.png"), lambda figure: ..., (4, 3))
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(size, dpi=dpi, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)
        FigureCanvasAgg(figure)
        draw(figure)
        with replacing(path) as unfinished:
            figure.savefig(unfinished, format="png")
    return path


def write_all(
    folder: Path,
    name: str,
    labels: np.ndarray,
    probabilities: np.ndarray,
    thresholds: tuple[float, float],
) -> list[Path]:
    """Writes every plot that the data allow as a PNG file.

    Args:
        folder: made if it is missing.
        name: of the data; the files are called `roc-<name>.png` and so on.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        thresholds: between which a verdict is uncertain, marked in the
            histogram.

    Returns:
        The files: `scores` and `confusion`; and with images of both classes
        also `roc`, `precision-recall` and `reliability`.

    Example:
        >>> write_all(Path("plots"), "faces-test", y, p, (0.4, 0.6))[0].name
        'scores-faces-test.png'
    """
    plots = {
        "scores": partial(draw_scores, thresholds=thresholds),
        "confusion": draw_confusion,
    }
    if len(np.unique(labels)) == 2:
        plots["roc"] = draw_roc
        plots["precision-recall"] = draw_precision_recall
        plots["reliability"] = draw_reliability
    return [
        write_figure(
            folder / f"{kind}-{name}.png",
            lambda figure, draw=draw: draw(
                figure.add_subplot(), labels, probabilities
            ),
            (6.4, 5.8),
        )
        for kind, draw in plots.items()
    ]


def draw_roc(axes: Axes, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Draws the ROC curve, with the equal error rate.

    Args:
        axes: empty.
        labels: int `[N]`, with both 0 (real) and 1 (fake).
        probabilities: float `[N]` in 0..1, the probabilities of fake.
    """
    fpr, tpr, _ = roc_curve(labels, probabilities)
    measured = metrics.measure(labels, probabilities)
    eer = measured["eer"]
    axes.plot([0, 1], [0, 1], **_GUESSING)
    axes.plot(fpr, tpr, color=COLORS["fake"])
    axes.plot(eer, 1 - eer, "o", color=INK, markersize=8)
    _note(axes, f"equal error rate {eer:.1%}", (eer, 1 - eer), (14, -20))
    _unit_square(
        axes,
        f"ROC curve, area {measured['roc_auc']:.3f}",
        "reals called fake",
        "fakes called fake",
    )


def draw_precision_recall(
    axes: Axes, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Draws precision against recall.

    Args:
        axes: empty.
        labels: int `[N]`, with both 0 (real) and 1 (fake).
        probabilities: float `[N]` in 0..1, the probabilities of fake.
    """
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    chance = np.mean(labels)
    average = metrics.measure(labels, probabilities)["average_precision"]
    axes.axhline(chance, **_GUESSING)
    _note(axes, "chance", (0, chance), (6, 6), color="#6e7781")
    axes.plot(recall, precision, color=COLORS["fake"], drawstyle="steps-pre")
    _unit_square(
        axes,
        f"Precision and recall, average {average:.3f}",
        "recall: fakes called fake",
        "precision: alarms that are fakes",
    )


def draw_reliability(
    axes: Axes, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Draws observed shares of fakes against predicted ones.

    Args:
        axes: empty.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
    """
    bins = metrics.reliability_bins(labels, probabilities)
    error = metrics.expected_calibration_error(labels, probabilities)
    predicted, images = bins["predicted"], bins["images"]
    # By how much chance alone moves the share in a bin of so many images.
    spread = np.sqrt(predicted * (1 - predicted) / images)
    axes.plot([0, 1], [0, 1], **_GUESSING)
    axes.errorbar(
        predicted,
        bins["observed"],
        yerr=1.96 * spread,
        color=COLORS["fake"],
        ecolor="#8b949e",
        elinewidth=1.5,
        capsize=4,
        marker="o",
    )
    _unit_square(
        axes,
        f"Reliability, calibration error {error:.3f}",
        "predicted probability of fake",
        "observed share of fakes",
    )


def _note(
    axes: Axes,
    text: str,
    point: tuple[float, float],
    offset: tuple[int, int],
    color: str = INK,
) -> None:
    axes.annotate(
        text, point, xytext=offset, textcoords="offset points", color=color
    )


def _unit_square(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, aspect="equal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")


def draw_confusion(
    axes: Axes, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Draws the confusion matrix at probability 0.5.

    Args:
        axes: empty.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
    """
    counts = metrics.confusion(labels, probabilities)
    table = np.array([[counts[t][c] for c in LABELS] for t in LABELS])
    # An absent class has a row of zeros, and shares of zero.
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{share:.1%}\n{table[row, column]:,}"
        color = "white" if share > 0.6 else INK
        where = {"ha": "center", "va": "center"}
        axes.text(column, row, text, fontsize=20, color=color, **where)
    axes.set_title("What was called what, at 0.5")
    axes.set_xticks([0, 1], [f"called {name}" for name in LABELS])
    axes.set_yticks([0, 1], [f"{name}s" for name in LABELS])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_scores(
    axes: Axes,
    labels: np.ndarray,
    probabilities: np.ndarray,
    thresholds: tuple[float, float],
) -> None:
    """Draws the distribution of the scores of each class.

    Args:
        axes: empty.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        thresholds: what lies between them is shaded as uncertain.
    """
    edges = np.linspace(0, 1, BINS + 1)
    for label, name in enumerate(LABELS):
        scores = probabilities[labels == label]
        if not len(scores):
            continue
        shares = np.histogram(scores, edges)[0] / len(scores)
        area = {"fill": True, "alpha": 0.35, "zorder": 2}
        outline = {"linewidth": 2, "zorder": 3}
        outline["label"] = f"{name} ({len(scores):,})"
        for style in (area, outline):
            axes.stairs(shares, edges, color=COLORS[name], **style)
    low, high = thresholds
    between = f"uncertain ({low:.2f} to {high:.2f})"
    axes.axvspan(low, high, color=FAINT, alpha=0.6, label=between)
    for threshold in thresholds:
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.3)
    axes.legend(
        loc="upper center",
        ncols=3,
        bbox_to_anchor=(0.45, -0.16),
        columnspacing=1.2,
        handlelength=1.2,
        fontsize=13,
    )
    axes.set(title="Scores of reals and fakes", xlim=(-0.01, 1.01))
    axes.set(xlabel="probability of fake", ylabel="share of the class")
    # Steps of 2.5 would be rounded to 2, 5, 8.
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:.0%}")
