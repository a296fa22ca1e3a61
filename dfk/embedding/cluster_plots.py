"""Pictures of clusters: a map of all, and a contact sheet of each."""

from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib import colormaps, font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image, ImageDraw, ImageFont
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from dfk.embedding.clustering import NOISE, SEED, Clustering, majority
from dfk.evaluation import plots
from dfk.evaluation.plots import COLORS, INK

# With fewer images, t-SNE has no neighbourhoods to keep, and PCA is as good.
_FEW = 30
_PERPLEXITY = 30
_GREY = "#9aa4b1"
# The grey of this palette is for what has no colour of its own.
_PALETTE = (*colormaps["tab10"].colors[:7], *colormaps["tab10"].colors[8:], INK)
# So many colours can be told apart; the rest share one grey.
_MOST_COLORS = len(_PALETTE)
_GREYS = ("others", "noise", "not known")

# A contact sheet: images a row, images at most, and pixels.
_COLUMNS, _MOST = 8, 64
_GAP, _MARGIN, _FRAME = 6, 16, 3
_TITLE_HEIGHT = 62


def write_map(
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
        >>> write_map(Path("map.png"), values, clustering, {"identity": names})

    Reference:
        van der Maaten & Hinton, "Visualizing Data using t-SNE", 2008.
    """
    points, method = _project(values)
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

    plots.write_figure(path, draw, (7.2 * panels, 7.8), dpi=110)


def _project(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Embeddings `[N, 2]`, and the name of the method."""
    if len(values) < _FEW:
        return PCA(2, random_state=SEED).fit_transform(values), "PCA"
    perplexity = min(_PERPLEXITY, (len(values) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=SEED)
    # Its threads wait for each other after every small step: on a busy machine
    # of two cores one thread was 3 to 50 times as fast.
    with threadpool_limits(1):
        return tsne.fit_transform(values), "t-SNE"


def _shown(truths: dict[str, np.ndarray]) -> list[str]:
    """The truths with few enough values to colour; if none has, any one."""
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

    Clusters are ordered by size as well, so that a cluster has the colour of
    the true class that it is.
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
        grey = name in _GREYS
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


def write_contact_sheets(
    folder: Path,
    thumbnails: np.ndarray,
    values: np.ndarray,
    clustering: Clustering,
    truth: np.ndarray | None = None,
) -> list[Path]:
    """Writes a contact sheet a cluster as a PNG file.

    The images nearest to the cluster's centre come first, 64 at most. Those
    that are not what most of the cluster is have a frame.

    Args:
        folder: where the files `cluster-0.png` and so on go; `noise.png` has
            what belongs to no cluster.
        thumbnails: uint8 `[N, S, S, 3]`.
        values: float32 `[N, D]`, each row of length 1.
        clustering: the clusters.
        truth: str `[N]`, identities or labels, empty where not known.

    Returns:
        The files, that of the largest cluster first.

    Example:
        >>> write_contact_sheets(folder, thumbnails, values, clustering)[0]
        PosixPath('clusters/cluster-0.png')
    """
    files = []
    width = len(str(max(clustering.numbers)))
    for number in clustering.numbers:
        name = "noise" if number == NOISE else f"cluster-{number:0{width}d}"
        members = np.flatnonzero(clustering.assignments == number)
        members = members[_nearest_first(values[members])]
        names = None if truth is None else truth[members]
        files.append(folder / f"{name}.png")
        contact_sheet(name.replace("-", " "), thumbnails[members], names).save(
            files[-1]
        )
    return files


def contact_sheet(
    name: str, thumbnails: np.ndarray, truth: np.ndarray | None = None
) -> Image.Image:
    """Lays images out under a title.

    Args:
        name: of the cluster.
        thumbnails: uint8 `[N, S, S, 3]`; only the first 64 are shown.
        truth: str `[N]`, empty where not known.

    Returns:
        The sheet.
    """
    side = thumbnails.shape[1]
    shown = min(len(thumbnails), _MOST)
    rows = -(-shown // _COLUMNS)
    width = _COLUMNS * (side + _GAP) - _GAP + 2 * _MARGIN
    height = _TITLE_HEIGHT + rows * (side + _GAP) - _GAP + 2 * _MARGIN
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    most, share = (None, None) if truth is None else majority(truth)
    title, below = _title(name, len(thumbnails), shown, most, share)
    _write(draw, (_MARGIN, _MARGIN), title, "bold", 19, width)
    _write(draw, (_MARGIN, _MARGIN + 28), below, "normal", 14, width)
    for number in range(shown):
        row, column = divmod(number, _COLUMNS)
        left = _MARGIN + column * (side + _GAP)
        top = _MARGIN + _TITLE_HEIGHT + row * (side + _GAP)
        image.paste(Image.fromarray(thumbnails[number]), (left, top))
        if most and truth[number] not in ("", most):
            draw.rectangle(
                (left - 1, top - 1, left + side, top + side),
                outline=COLORS["fake"],
                width=_FRAME,
            )
    return image


def _nearest_first(values: np.ndarray) -> np.ndarray:
    """Order of distance from the centre, for embeddings of length 1."""
    return np.argsort(-values @ values.mean(axis=0), kind="stable")


def _title(name, size, shown, most, share) -> tuple[str, str]:
    title = f"{name}: {size:,} picture{'s' * (size != 1)}"
    below = "the nearest to the centre first"
    if shown < size:
        below = f"the {shown} nearest to the centre"
    if most:
        title += f", {share:.0%} {most}"
    if most and share < 1:
        below += f"; framed: not {most}"
    return title, below


def _write(draw, place, text, weight, size, width) -> None:
    """Writes text in a font that has most scripts, shortened to the width."""
    found = font_manager.findfont(
        font_manager.FontProperties(family="DejaVu Sans", weight=weight)
    )
    font = ImageFont.truetype(found, size)
    room = width - place[0] - _MARGIN
    while font.getlength(text) > room:
        text = text[:-2].rstrip("…") + "…"
    draw.text(place, text, INK, font)
