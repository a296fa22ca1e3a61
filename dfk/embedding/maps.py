"""Embeddings as a map: near on paper what is near in truth."""

from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from dfk.embedding.clustering import NOISE, SEED, Clustering
from dfk.evaluation import figures
from dfk.evaluation.figures import COLORS, INK

# Below this t-SNE has no neighbourhoods to keep, and PCA is as good.
_FEW = 30
_PERPLEXITY = 30
_GREY = "#9aa4b1"
# Without the grey of that palette.
_PALETTE = (*colormaps["tab10"].colors[:7], *colormaps["tab10"].colors[8:], INK)
# So many colours can be told apart; the rest share one grey.
_MOST_COLORS = len(_PALETTE)


def write(
    path: Path,
    values: np.ndarray,
    clustering: Clustering,
    truths: dict[str, np.ndarray],
) -> None:
    """Draws clusters, and beside them every truth that is known.

    Args:
        path: of a PNG file.
        values: float32 `[N, D]`, each row of length 1.
        clustering: the clusters.
        truths: str `[N]` by name, empty where not known.

    Example:
        >>> write(Path("map.png"), values, clustering, {"identity": names})

    Reference:
        van der Maaten & Hinton, "Visualizing Data using t-SNE", 2008.
    """
    points, method = project(values)
    shown = _shown(truths)
    panels = 1 + len(shown)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, panels, squeeze=False)[0]
        names = _cluster_names(clustering.assignments)
        _draw(axes[0], points, *names, number=True)
        axes[0].set_title(f"By cluster: {clustering.algorithm}, {method}")
        for beside, truth in zip(axes[1:], shown, strict=True):
            _draw(beside, points, *_most_frequent(truths[truth]))
            beside.set_title(f"By {truth}")

    figures.write(path, draw, (7.2 * panels, 7.8), dpi=110)


def project(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Embeddings in two dimensions, by t-SNE; by PCA if they are few.

    Args:
        values: float32 `[N, D]`, with N at least 2.

    Returns:
        float `[N, 2]`, and the name of the method.
    """
    if len(values) < _FEW:
        return PCA(2, random_state=SEED).fit_transform(values), "PCA"
    perplexity = min(_PERPLEXITY, (len(values) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=SEED)
    # Its threads wait for each other after every small step: on a busy machine
    # of two cores one thread was 3 to 50 times as fast.
    with threadpool_limits(1):
        return tsne.fit_transform(values), "t-SNE"


def _shown(truths: dict[str, np.ndarray]) -> list[str]:
    """Those of few enough values to colour, or else whatever there is."""
    known = {n: len(set(t[t != ""])) for n, t in truths.items()}
    known = {name: count for name, count in known.items() if count > 1}
    few = [name for name, count in known.items() if count <= _MOST_COLORS]
    return few or list(known)[:1]


def _cluster_names(assignments: np.ndarray) -> tuple[np.ndarray, list[str]]:
    names = np.where(assignments == NOISE, "noise", assignments.astype(str))
    return _most_frequent(np.where(names == "noise", "", names), "noise")


def _most_frequent(
    names: np.ndarray, unknown: str = "not known"
) -> tuple[np.ndarray, list[str]]:
    """Names by point, and the most frequent first; rare ones are `others`.

    Clusters come by size as well, so that true ones get the colours of what
    they are.
    """
    counts = Counter(names[names != ""].tolist()).most_common()
    frequent = [name for name, _ in counts[:_MOST_COLORS]]
    shown = np.where(np.isin(names, frequent), names, "others")
    shown = np.where(names == "", unknown, shown)
    greys = [name for name in ("others", unknown) if name in shown]
    return shown, frequent + greys


def _draw(
    axes: Axes,
    points: np.ndarray,
    names: np.ndarray,
    order: list[str],
    number: bool = False,
) -> None:
    size = float(np.clip(6000 / len(points), 6, 70))
    colored, handles = 0, {}
    for name in order:
        here = points[names == name]
        grey = name in ("others", "noise", "not known")
        color = _GREY if grey else COLORS.get(name, _PALETTE[colored])
        colored += not grey
        handles[f"{name} ({len(here):,})"] = axes.scatter(
            *here.T,
            s=size,
            color=color,
            marker="x" if name == "noise" else "o",
            linewidths=1 if name == "noise" else 0,
            alpha=0.85,
            zorder=1 if grey else 2,
        )
        if number and not grey:
            _write_number(axes, here, name)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.legend(
        handles.values(),
        handles.keys(),
        loc="upper left",
        bbox_to_anchor=(0, 0),
        ncols=3,
        fontsize=12,
        markerscale=max(1.0, (50 / size) ** 0.5),
        handletextpad=0.2,
        columnspacing=1.2,
        borderaxespad=0,
    )


def _write_number(axes: Axes, here: np.ndarray, name: str) -> None:
    """A cluster's number at the point nearest to its median."""
    middle = np.median(here, axis=0)
    nearest = here[np.argmin(np.linalg.norm(here - middle, axis=1))]
    axes.annotate(
        name,
        nearest,
        ha="center",
        va="center",
        fontsize=13,
        fontweight="bold",
        zorder=3,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )
