"""Images of a detector's scores, sized to be read on a phone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from dfk.evaluation import figures
from dfk.evaluation.figures import COLORS, FAINT, INK
from dfk.evaluation.metrics import CLASSES, confusion, measure
from dfk.evaluation.reliability import (
    expected_calibration_error,
    reliability_bins,
)

SIZE = (6.4, 5.8)
BINS = 25


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
    plots: dict[str, Callable[[Axes], None]] = {
        "scores": lambda axes: draw_scores(
            axes, labels, probabilities, thresholds
        ),
        "confusion": lambda axes: draw_confusion(axes, labels, probabilities),
    }
    if len(np.unique(labels)) == 2:
        plots["roc"] = lambda axes: draw_roc(axes, labels, probabilities)
        plots["precision-recall"] = lambda axes: draw_precision_recall(
            axes, labels, probabilities
        )
        plots["reliability"] = lambda axes: draw_reliability(
            axes, labels, probabilities
        )
    return [
        figures.write(
            folder / f"{kind}-{name}.png",
            lambda figure, draw=draw: draw(figure.add_subplot()),
            SIZE,
        )
        for kind, draw in plots.items()
    ]


def draw_roc(axes: Axes, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Draws fakes caught against false alarms, with the equal error rate.

    Args:
        axes: empty.
        labels: int `[N]`, with both 0 (real) and 1 (fake).
        probabilities: float `[N]` in 0..1, the probabilities of fake.
    """
    fpr, tpr, _ = roc_curve(labels, probabilities)
    metrics = measure(labels, probabilities)
    eer = metrics["eer"]
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1.5)
    axes.plot(fpr, tpr, color=COLORS["fake"])
    axes.plot(eer, 1 - eer, "o", color=INK, markersize=8)
    axes.annotate(
        f"equal error rate {eer:.1%}",
        (eer, 1 - eer),
        xytext=(14, -20),
        textcoords="offset points",
    )
    axes.set_title(f"ROC curve, area {metrics['roc_auc']:.3f}")
    axes.set_xlabel("reals called fake")
    axes.set_ylabel("fakes called fake")
    _unit_square(axes)


def draw_precision_recall(
    axes: Axes, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Draws how many alarms are right against fakes caught.

    Args:
        axes: empty.
        labels: int `[N]`, with both 0 (real) and 1 (fake).
        probabilities: float `[N]` in 0..1, the probabilities of fake.
    """
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    chance = np.mean(labels)
    average = measure(labels, probabilities)["average_precision"]
    axes.axhline(chance, color=FAINT, linestyle="--", linewidth=1.5)
    axes.annotate(
        "chance",
        (0, chance),
        xytext=(6, 6),
        textcoords="offset points",
        color="#6e7781",
    )
    axes.plot(recall, precision, color=COLORS["fake"], drawstyle="steps-pre")
    axes.set_title(f"Precision and recall, average {average:.3f}")
    axes.set_xlabel("recall: fakes called fake")
    axes.set_ylabel("precision: alarms that are fakes")
    _unit_square(axes)


def draw_reliability(
    axes: Axes, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Draws how many are fake against how many were said to be.

    Args:
        axes: empty.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
    """
    bins = reliability_bins(labels, probabilities)
    error = expected_calibration_error(labels, probabilities)
    predicted, images = bins["predicted"], bins["images"]
    # What honest probabilities leave to chance in a bin of so many images.
    spread = np.sqrt(predicted * (1 - predicted) / images)
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1.5)
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
    axes.set_title(f"Reliability, calibration error {error:.3f}")
    axes.set_xlabel("predicted probability of fake")
    axes.set_ylabel("observed share of fakes")
    _unit_square(axes)


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")


def draw_confusion(
    axes: Axes, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Draws what was called what at probability 0.5.

    Args:
        axes: empty.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
    """
    counts = confusion(labels, probabilities)
    table = np.array([[counts[t][c] for c in CLASSES] for t in CLASSES])
    # An absent class has a row of zeros, and shares of zero.
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.1)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column,
            row,
            f"{share:.1%}\n{table[row, column]:,}",
            ha="center",
            va="center",
            fontsize=20,
            color="white" if share > 0.6 else INK,
        )
    axes.set_title("What was called what, at 0.5")
    axes.set_xticks([0, 1], [f"called {name}" for name in CLASSES])
    axes.set_yticks([0, 1], [f"{name}s" for name in CLASSES])
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
    for label, name in enumerate(CLASSES):
        scores = probabilities[labels == label]
        if not len(scores):
            continue
        shares = np.histogram(scores, edges)[0] / len(scores)
        axes.stairs(
            shares, edges, color=COLORS[name], fill=True, alpha=0.35, zorder=2
        )
        axes.stairs(
            shares,
            edges,
            color=COLORS[name],
            linewidth=2,
            label=f"{name} ({len(scores):,})",
            zorder=3,
        )
    low, high = thresholds
    axes.axvspan(
        low,
        high,
        color=FAINT,
        alpha=0.6,
        label=f"uncertain ({low:.2f} to {high:.2f})",
    )
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
    axes.set_title("Scores of reals and fakes")
    axes.set_xlabel("probability of fake")
    axes.set_ylabel("share of the class")
    axes.set_xlim(-0.01, 1.01)
    # Steps of 2.5 would be rounded to 2, 5, 8.
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:.0%}")
