"""Runs every check on a data set, and writes down what came out."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dfk.auditing import balance, encoding, leaks, page, shortcuts, verdicts
from dfk.auditing.images import (
    ImageTable,
    Source,
    image_table,
    open_source,
)
from dfk.auditing.pairs import Pairs
from dfk.auditing.verdicts import Check
from dfk.download import UnavailableError
from dfk.errors import UserError
from dfk.evaluation import metrics
from dfk.files import write_json
from dfk.models.extractors import extractor
from dfk.models.features import features
from dfk.runs import provenance

PAIRS_SHOWN = 12


def audit(
    dataset: str, output: Path | None = None, people: bool = True
) -> dict[str, Any]:
    """Audits a data set, and writes a page and a record.

    Args:
        dataset: a folder `{train,valid,test}/{real,fake}/*` or a TFDS name.
        output: the page; by default `audit-<name>.html`. The record lies
            beside it, with the suffix `.json`.
        people: whether to look for the same person in two splits, which runs
            FaceNet over every image.

    Returns:
        The record: `checks` with their verdicts, the closest `pairs`, what was
        audited, and the `files` written.

    Raises:
        UserError: no such data set, or one without readable images.

    Example:
        >>> audit("faces")["checks"][1]["verdict"]
        'ok'
    """
    source = open_source(dataset)
    images = image_table(source)
    if not len(images.ids):
        raise UserError(
            f"No picture of {dataset} can be decoded: pass a folder of JPEG, "
            "PNG, WebP, BMP or GIF files."
        )
    output = output or Path(f"audit-{_plain(dataset)}.html")
    checks, pairs = _run_checks(source, images, people)
    record = {
        "dataset": dataset,
        "images": {
            name: int((images.splits == name).sum()) for name in source.splits
        },
        **provenance(),
        "checks": [asdict(check) for check in checks],
        "pairs": {
            name: list(itertools.islice(_rows(found, images), PAIRS_SHOWN))
            for name, found in pairs.items()
        },
        "files": [str(output), str(output.with_suffix(".json"))],
    }
    page.write(output, record, source)
    write_json(output.with_suffix(".json"), record)
    return record


def _run_checks(
    source: Source, images: ImageTable, people: bool
) -> tuple[list[Check], dict[str, Pairs]]:
    duplicates, duplicate_pairs = leaks.near_duplicates(images)
    person, person_pairs = _same_person(source, images, people)
    checks = [
        _unreadable(source, images),
        balance.class_balance(images),
        leaks.crossing_groups(images),
        duplicates,
        person,
        *_shortcuts(source, images),
    ]
    pairs = {duplicates.name: duplicate_pairs, person.name: person_pairs}
    return checks, {name: found for name, found in pairs.items() if found}


def _unreadable(source: Source, images: ImageTable) -> Check:
    if source.files is None:
        return balance.unreadable(None, 0)
    broken = sorted(set(source.files) - set(images.ids))
    return balance.unreadable(broken, len(source.files))


def _same_person(
    source: Source, images: ImageTable, people: bool
) -> tuple[Check, Pairs | None]:
    name = "same person"
    if not people:
        return Check(name, verdicts.NOT_CHECKED, "Not asked for."), None
    # Without a second split there is nothing to run a network for.
    if len(np.unique(images.splits)) < 2:
        return Check(name, verdicts.NOT_CHECKED, leaks.NEEDS_TWO), None
    try:
        network = extractor("facenet", _image_size(source))
    except UnavailableError as error:
        return Check(name, verdicts.NOT_CHECKED, str(error)), None
    embeddings = [
        features(network, split).values
        for split in source.splits.values()
        if split.name in images.splits
    ]
    return leaks.same_person(images, np.concatenate(embeddings))


def _image_size(source: Source) -> int:
    split = next(iter(source.splits.values()))
    return split.examples.element_spec["image"].shape[1]


def _shortcuts(source: Source, images: ImageTable) -> list[Check]:
    """The checks of what alone may tell fake from real, on training data."""
    train = images.splits == "train"
    labels, groups = images.labels[train], images.groups[train]
    if shortcuts.too_few(labels, groups):
        reason = (
            f"Needs {shortcuts.FEWEST} groups of each class in the training "
            "split."
        )
        names = (*encoding.SIGNALS, shortcuts.THUMBNAIL)
        return [Check(name, verdicts.NOT_CHECKED, reason) for name in names]
    return [
        *_encoding(source, images.ids[train], labels, groups),
        shortcuts.check_thumbnail(images.thumbnails[train], labels, groups),
    ]


def _encoding(
    source: Source, ids: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> list[Check]:
    if source.files is None:
        reason = "A TFDS data set has records, not files."
        return [
            Check(name, verdicts.NOT_CHECKED, reason)
            for name in encoding.SIGNALS
        ]
    columns = encoding.columns([source.files[id].path for id in ids])
    return [
        shortcuts.check_encoding(name, columns[name], labels, groups)
        for name in encoding.SIGNALS
    ]


def _rows(found: Pairs, images: ImageTable) -> Iterator[dict[str, Any]]:
    """The closest pairs by name, one for any two groups of images."""
    seen = set()
    for sides, similarity in zip(
        zip(found.held_out, found.closest, strict=True),
        found.similarity,
        strict=True,
    ):
        groups = tuple(images.groups[list(sides)])
        if groups in seen:
            continue
        seen.add(groups)
        yield {
            "similarity": round(float(similarity), 3),
            "images": [
                {
                    "id": str(images.ids[row]),
                    "split": str(images.splits[row]),
                    "label": metrics.CLASSES[images.labels[row]],
                }
                for row in sides
            ],
        }


def _plain(dataset: str) -> str:
    """A data set's name without what has no place in a file's name."""
    folder = Path(dataset).expanduser()
    name = folder.resolve().name if folder.is_dir() else dataset
    return re.sub(r"[^\w.-]+", "-", name) or "faces"
