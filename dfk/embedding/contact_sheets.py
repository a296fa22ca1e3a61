"""An image of each cluster: its most typical members, side by side."""

from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from dfk.embedding.clustering import NOISE, Clustering, majority
from dfk.evaluation.figures import COLORS, INK

COLUMNS, MOST = 8, 64
_GAP, _MARGIN, _FRAME = 6, 16, 3
_TITLE_HEIGHT = 62


def write_all(
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
        >>> write_all(Path("clusters"), thumbnails, values, clustering)[0]
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
        sheet(name.replace("-", " "), thumbnails[members], names).save(
            files[-1]
        )
    return files


def sheet(
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
    shown = min(len(thumbnails), MOST)
    rows = -(-shown // COLUMNS)
    width = COLUMNS * (side + _GAP) - _GAP + 2 * _MARGIN
    height = _TITLE_HEIGHT + rows * (side + _GAP) - _GAP + 2 * _MARGIN
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    most, share = (None, None) if truth is None else majority(truth)
    title, below = _title(name, len(thumbnails), shown, most, share)
    _write(draw, (_MARGIN, _MARGIN), title, "bold", 19, width)
    _write(draw, (_MARGIN, _MARGIN + 28), below, "normal", 14, width)
    for number in range(shown):
        row, column = divmod(number, COLUMNS)
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
    """For embeddings of length 1 the largest product is the least distance."""
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
    """Text in a font that knows most scripts, cut where it would leave."""
    found = font_manager.findfont(
        font_manager.FontProperties(family="DejaVu Sans", weight=weight)
    )
    font = ImageFont.truetype(found, size)
    room = width - place[0] - _MARGIN
    while font.getlength(text) > room:
        text = text[:-2].rstrip("…") + "…"
    draw.text(place, text, INK, font)
