"""An evaluation as one page: what is known about a detector, and its faults."""

import base64
import csv
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dfk import models, pages
from dfk.data import names
from dfk.errors import UserError
from dfk.evaluation import measure, records, slices
from dfk.evaluation.explanations import heat_maps
from dfk.evaluation.metrics import CLASSES
from dfk.evaluation.overlays import heated
from dfk.files import write_text
from dfk.runs import Run, flat

SHOWN = 24
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
        audits: where `dfk.audit` left its records, `audit-<name>.json`.

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
    own = records.source_of(run, None, None)
    where = records.source_of(run, dataset, data_dir)
    key, record = records.recorded(run, *where, split)
    scores = _read_scores(run.path / f"scores-{key}.csv")
    detector = models.load(run.path)
    chosen = {
        "mistakes": _worst_mistakes(scores),
        "uncertain": _most_uncertain(scores),
    }
    shown = sorted({int(row) for rows in chosen.values() for row in rows})
    verdicts = {scores["id"][row]: scores["verdict"][row] for row in shown}
    thumbnails, unexplained = _thumbnails(detector, *where, split, verdicts)
    page = pages.render(
        "report.html",
        run=run.path.name,
        config=flat(run.config),
        training=run.results.get("training", {}),
        record=record,
        plots={
            kind: _embedded(run.path / "plots" / f"{kind}-{key}.png")
            for kind in (*_PLOTS, "robustness")
        },
        cross=run.results.get("cross"),
        groups=slices.by_group(
            scores["group"], scores["label"], scores["fake_probability"]
        ),
        sizes=_sizes(where[1], scores),
        galleries={
            title: [_card(scores, row, thumbnails) for row in rows]
            for title, rows in chosen.items()
        },
        unexplained=unexplained,
        audit=_audit(Path(audits), where[0] or where[1]),
    )
    is_own = _spelled_out(where) == _spelled_out(own) and split == "test"
    path = run.path / ("report.html" if is_own else f"report-{key}.html")
    write_text(path, page)
    return path


def _spelled_out(
    where: tuple[str | None, str | None],
) -> tuple[str | None, str | None]:
    return where[0], names.absolute(where[1])


def _read_scores(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    columns["label"] = np.array([CLASSES.index(x) for x in columns["label"]])
    for name in ("fake_probability", "ood_score"):
        columns[name] = columns[name].astype(np.float32)
    return columns


def _worst_mistakes(scores: dict[str, np.ndarray]) -> np.ndarray:
    """The rows that were surest of the wrong label, the surest first."""
    error = np.abs(scores["fake_probability"] - scores["label"])
    worst = np.argsort(-error, kind="stable")
    return worst[error[worst] > 0.5][:SHOWN]


def _most_uncertain(scores: dict[str, np.ndarray]) -> np.ndarray:
    """The rows closest to one half, the closest first."""
    distance = np.abs(scores["fake_probability"] - 0.5)
    return np.argsort(distance, kind="stable")[:SHOWN]


def _thumbnails(
    detector: keras.Model,
    dataset: str | None,
    data_dir: str | None,
    split: str,
    verdicts: dict[str, str],
) -> tuple[dict[str, tuple[str, str | None]], str | None]:
    """Images by their ids, plain and with their heat maps.

    And why there are no heat maps, of a detector that has none to show.
    """
    ids = list(verdicts)
    examples = measure.load_split(
        detector, dataset, data_dir, split
    ).examples.filter(
        lambda example: tf.reduce_any(tf.equal(example["id"], ids))
    )
    found = {
        example["id"].decode(): example["image"]
        for example in examples.as_numpy_iterator()
    }
    images = np.stack(list(found.values()))
    plain = [pages.data_url(image) for image in images]
    warm, unexplained = [None] * len(plain), None
    try:
        heat = heat_maps(detector, images, [verdicts[id] for id in found])
        warm = list(map(pages.data_url, map(heated, images, heat)))
    except UserError as error:
        unexplained = str(error)
    pairs = zip(plain, warm, strict=True)
    return dict(zip(found, pairs, strict=True)), unexplained


def _card(
    scores: dict[str, np.ndarray],
    row: int,
    thumbnails: dict[str, tuple[str, str | None]],
) -> dict[str, Any]:
    plain, warm = thumbnails[scores["id"][row]]
    return {
        "id": scores["id"][row],
        "label": CLASSES[scores["label"][row]],
        "probability": float(scores["fake_probability"][row]),
        "verdict": scores["verdict"][row],
        "reason": scores["reason"][row],
        "plain": plain,
        "heat": warm,
    }


def _sizes(
    data_dir: str | None, scores: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    sides = slices.sides_of(data_dir, scores["id"]) if data_dir else None
    if sides is None:
        return []
    return slices.by_size(sides, scores["label"], scores["fake_probability"])


def _embedded(path: Path) -> str | None:
    """A PNG as part of the page; None where there is no such file."""
    if not path.is_file():
        return None
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:image/png;base64,{content}"


def _audit(folder: Path, name: str) -> dict[str, Any] | None:
    """The record of the data set's audit, if one lies in the folder."""
    for path in sorted(folder.glob("audit-*.json")):
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        # Other programs call their files so, too.
        if not (
            isinstance(record, dict) and {"dataset", "checks"} <= set(record)
        ):
            continue
        audited = str(record["dataset"])
        if names.absolute(name) == names.absolute(audited):
            return record
    return None
