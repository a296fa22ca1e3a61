"""The report: an evaluation as one page, with a detector's weaknesses."""

import base64
import contextlib
import shlex
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dfk import models, pages
from dfk.data import folders, names
from dfk.data.folders import LABELS
from dfk.errors import UserError
from dfk.evaluation import measure, records
from dfk.evaluation.heat_maps import heat_maps, heated
from dfk.evaluation.leave_one_out import LEFT_OUT
from dfk.evaluation.metrics import THRESHOLD, TITLES
from dfk.evaluation.records import Scores, Source
from dfk.files import expanded, read_json, write_text
from dfk.images.headers import opened
from dfk.runs import Run, flat

SHOWN = 24
# Fewer images than this say nothing about a group.
SMALLEST_GROUP = 2
WORST_GROUPS = 10
SIZE_BINS = 4
_PLOTS = ("roc", "precision-recall", "reliability", "confusion", "scores")


def write_report(
    run_path: str | Path,
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str = "test",
    audits: str | Path = ".",
) -> Path:
    """Writes the page of an evaluation that `evaluate` has recorded.

    All its numbers are those of `results.json` and of the scores beside it;
    the robustness grid and the cross table are shown where they were measured.
    The page holds its images in itself and asks the network for nothing.

    Args:
        run_path: the folder of a finished run.
        dataset: a TFDS name or folder; by default what the run was trained on.
        data_dir: a folder; likewise.
        split: the split.
        audits: where `dfk.audit` left its records, `audit-<name>.json`. The
            latest one of these very data is shown.

    Returns:
        The page: the run's `report.html`, or `report-<key>.html` for other
        data or another split than its own test split.

    Raises:
        UserError: no finished run, or not evaluated on these data.

    Example:
        >>> write_report("runs/facenet")
        PosixPath('runs/facenet/report.html')
    """
    run = Run.finished(run_path)
    source = records.source_of(run, dataset, data_dir, split)
    key, record = records.recorded(run, source)
    scores = records.read_scores(run, key)
    galleries, unexplained = _galleries(run, source, scores)
    page = pages.render(
        "report.html",
        run=run.path.name,
        path=records.relative(run.path),
        where=source.name,
        unaudited=[
            shlex.join(["python", "-m", "dfk.audit", records.relative(place)])
            for place in names.split(source.place)
        ],
        config=flat(run.config),
        training=run.results.get("training", {}),
        record=record,
        titles=TITLES,
        plots={
            kind: _embedded(run.path / "plots" / f"{kind}-{key}.png")
            for kind in (*_PLOTS, "robustness")
        },
        cross=run.results.get("cross"),
        leave_one_out=run.results.get("leave_one_out", {}),
        left_out=LEFT_OUT,
        groups=by_group(scores.groups, scores.correct),
        sizes=_sizes(source.data_dir, scores),
        galleries=galleries,
        unexplained=unexplained,
        audit=_audit(Path(audits), source),
    )
    is_own = source == records.source_of(run, None, None, "test")
    path = run.path / ("report.html" if is_own else f"report-{key}.html")
    write_text(path, page)
    return path


def _galleries(
    run: Run, source: Source, scores: Scores
) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
    """The worst mistakes and the most uncertain images, as cards.

    And why there are no heat maps, for a detector that has none to show.
    """
    # Wrong ones, the most confident first; then those closest to one half.
    error = np.abs(scores.probabilities - scores.labels)
    worst = np.argsort(-error, kind="stable")
    distance = np.abs(scores.probabilities - THRESHOLD)
    chosen = {
        "mistakes": worst[error[worst] > 0.5][:SHOWN],
        "uncertain": np.argsort(distance, kind="stable")[:SHOWN],
    }
    shown = sorted({int(row) for rows in chosen.values() for row in rows})
    verdicts = {scores.ids[row]: scores.verdicts[row] for row in shown}
    detector = models.load(run.path)
    thumbnails, unexplained = _thumbnails(detector, source, verdicts)
    cards = {
        title: [_card(scores, row, thumbnails) for row in rows]
        for title, rows in chosen.items()
    }
    return cards, unexplained


def _thumbnails(
    detector: keras.Model, source: Source, verdicts: dict[str, str]
) -> tuple[dict[str, dict[str, str | None]], str | None]:
    """Images by their ids, plain and with their heat maps."""
    chosen = measure.load_split(detector, source).chosen(list(verdicts))
    found = {
        example["id"].decode(): example["image"]
        for example in chosen.as_numpy_iterator()
    }
    images = np.stack(list(found.values()))
    plain = [pages.data_url(image) for image in images]
    warm, unexplained = [None] * len(plain), None
    try:
        heat = heat_maps(detector, images, [verdicts[id] for id in found])
        warm = list(map(pages.data_url, map(heated, images, heat)))
    except UserError as error:
        unexplained = str(error)
    shown = zip(found, plain, warm, strict=True)
    return {id: {"plain": p, "heat": w} for id, p, w in shown}, unexplained


def _card(
    scores: Scores, row: int, thumbnails: dict[str, dict[str, str | None]]
) -> dict[str, Any]:
    return {
        "id": scores.ids[row],
        "label": LABELS[scores.labels[row]],
        "probability": float(scores.probabilities[row]),
        "verdict": scores.verdicts[row],
        "reason": scores.reasons[row],
        **thumbnails[scores.ids[row]],
    }


def by_group(groups: np.ndarray, correct: np.ndarray) -> list[dict[str, Any]]:
    """The groups (people, videos) that a detector is worst on.

    Args:
        groups: str `[N]`, the group of each image.
        correct: bool `[N]`, whether each image got the right label.

    Returns:
        At most `WORST_GROUPS` rows with the `name`, the `images` and the
        `accuracy`, the worst first; of groups of at least `SMALLEST_GROUP`
        images.

    Example:
        >>> by_group(groups, correct)[0]
        {'name': 'ann', 'images': 4, 'accuracy': 0.25}
    """
    names, members, counts = np.unique(
        groups, return_inverse=True, return_counts=True
    )
    accuracy = np.bincount(members, correct) / counts
    rows = [
        {"name": str(name), "images": int(count), "accuracy": float(share)}
        for name, count, share in zip(names, counts, accuracy, strict=True)
        if count >= SMALLEST_GROUP
    ]
    return sorted(rows, key=lambda row: (row["accuracy"], -row["images"]))[
        :WORST_GROUPS
    ]


def by_size(sides: np.ndarray, correct: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy by the size that the images' files have.

    Args:
        sides: int `[N]`, the shorter side of each file's image, in pixels.
        correct: bool `[N]`, whether each image got the right label.

    Returns:
        From small to large at most `SIZE_BINS` rows with the sides `low` and
        `high`, the `images` and the `accuracy`.

    Example:
        >>> by_size(np.array([64, 256]), correct)[0]["high"]
        64
    """
    edges = np.unique(np.quantile(sides, np.linspace(0, 1, SIZE_BINS + 1)[1:]))
    bins = np.searchsorted(edges, sides)
    return [
        {
            "low": int(sides[bins == number].min()),
            "high": int(sides[bins == number].max()),
            "images": int(np.sum(bins == number)),
            "accuracy": float(np.mean(correct[bins == number])),
        }
        for number in np.unique(bins)
    ]


def sides_of(data_dir: str, ids: np.ndarray) -> np.ndarray | None:
    """The shorter sides of a folder's images.

    Args:
        data_dir: the folder that was evaluated.
        ids: str `[N]`, the images' paths in it.

    Returns:
        int `[N]` in pixels, or None where the ids name no files there, or
        one that Pillow refuses.
    """
    folder = expanded(data_dir)
    root = folders.root(folder) or folder
    paths = [root / id for id in ids]
    if not all(path.is_file() for path in paths):
        return None
    sides = []
    for path in paths:
        image = opened(path)
        if image is None:
            return None
        with image:
            sides.append(min(image.size))
    return np.array(sides)


def _sizes(data_dir: str | None, scores: Scores) -> list[dict[str, Any]]:
    sides = sides_of(data_dir, scores.ids) if data_dir else None
    return [] if sides is None else by_size(sides, scores.correct)


def _embedded(path: Path) -> str | None:
    """A PNG as part of the page; None where there is no such file."""
    if not path.is_file():
        return None
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:image/png;base64,{content}"


def _audit(folder: Path, source: Source) -> dict[str, Any] | None:
    """The latest record of an audit of the source that lies in a folder."""
    found = []
    for path in sorted(folder.glob("audit-*.json")):
        # Other programs use such file names, too.
        with contextlib.suppress(OSError, UserError):
            keys = ["dataset", "data_dir", "checks", "time"]
            record = read_json(path, keys, "delete it")
            if source.place == (record["data_dir"] or record["dataset"]):
                found.append(record)
    return max(found, key=lambda record: record["time"], default=None)
