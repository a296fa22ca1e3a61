"""Runs every check on a data set, and writes a page and a record."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dfk import data, pages
from dfk.auditing import checks, encoding, leaks, shortcuts
from dfk.auditing.checks import NOT_CHECKED, Check
from dfk.auditing.images import ImageTable, Source, image_table, open_source
from dfk.auditing.leaks import Pairs
from dfk.data import names
from dfk.data.folders import LABELS
from dfk.download import UnavailableError
from dfk.errors import UserError
from dfk.files import expanded, file_name, write_json, write_text
from dfk.images import FORMATS
from dfk.models.extractors import extractor
from dfk.models.features import features
from dfk.provenance import provenance

PAIRS_SHOWN = 12


@data.unreadable_files()
def audit(
    dataset: str, output: Path | None = None, people: bool = True
) -> dict[str, Any]:
    """Audits a data set, and writes a page and a record.

    Args:
        dataset: a folder `{train,valid,test}/{real,fake}/*` or a TFDS name.
        output: the page; by default `audit-<name>.html`. The record lies
            beside it, with the suffix `.json`.
        people: whether to search for the same person in two splits, which
            runs FaceNet over every image.

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
            f"No picture of {dataset} can be decoded: pass a folder of "
            f"{FORMATS} files."
        )
    output = output or Path(f"audit-{_file_name(dataset)}.html")
    found, pairs = _run_checks(source, images, people)
    record = {
        "dataset": dataset,
        "data_dir": names.absolute(names.name_or_folder(dataset, None)[1]),
        "images": {
            name: int((images.splits == name).sum()) for name in source.splits
        },
        **provenance(),
        "checks": [asdict(check) for check in found],
        "pairs": {
            name: _closest(closest, images) for name, closest in pairs.items()
        },
        "files": [str(output), str(output.with_suffix(".json"))],
    }
    _write_page(output, record, source)
    write_json(output.with_suffix(".json"), record)
    return record


def _run_checks(
    source: Source, images: ImageTable, people: bool
) -> tuple[list[Check], dict[str, Pairs]]:
    duplicates, duplicate_pairs = leaks.near_duplicates(images)
    labels, label_pairs = leaks.both_labels(images)
    person, person_pairs = _same_person(source, images, people)
    found = [
        checks.unreadable_files(source.files, images),
        checks.class_balance(images),
        leaks.crossing_groups(images),
        labels,
        duplicates,
        person,
        *_shortcuts(source, images),
    ]
    pairs = {
        labels.name: label_pairs,
        duplicates.name: duplicate_pairs,
        person.name: person_pairs,
    }
    return found, {name: some for name, some in pairs.items() if some}


def _same_person(
    source: Source, images: ImageTable, people: bool
) -> tuple[Check, Pairs | None]:
    name = "same person"
    if not people:
        return Check(name, NOT_CHECKED, "Not asked for."), None
    # Without a second split there is no need to run a network.
    if len(np.unique(images.splits)) < 2:
        return Check(name, NOT_CHECKED, leaks.NEEDS_TWO), None
    split = next(iter(source.splits.values()))
    image_size = split.examples.element_spec["image"].shape[1]
    try:
        network = extractor("facenet", image_size)
    except UnavailableError as error:
        return Check(name, NOT_CHECKED, str(error)), None
    embeddings = [
        features(network, split).values
        for split in source.splits.values()
        if split.name in images.splits
    ]
    return leaks.same_person(images, np.concatenate(embeddings))


def _shortcuts(source: Source, images: ImageTable) -> list[Check]:
    """Checks what else tells fake from real, on the training split."""
    train = images.splits == "train"
    labels, groups = images.labels[train], images.groups[train]
    if shortcuts.too_few(labels, groups):
        reason = (
            f"Needs {shortcuts.FEWEST} groups of each class in the training "
            "split."
        )
        names = (*encoding.SIGNALS, shortcuts.THUMBNAIL)
        return [Check(name, NOT_CHECKED, reason) for name in names]
    if source.files is None:
        found = [
            Check(name, NOT_CHECKED, checks.NO_FILES)
            for name in encoding.SIGNALS
        ]
    else:
        paths = [source.files[id].path for id in images.ids[train]]
        found = [
            shortcuts.check_encoding(name, columns, labels, groups)
            for name, columns in encoding.columns(paths).items()
        ]
    thumbnails = images.thumbnails[train]
    return [*found, shortcuts.check_thumbnail(thumbnails, labels, groups)]


def _closest(pairs: Pairs, images: ImageTable) -> list[dict[str, Any]]:
    """The closest pairs to show, one for any two groups of images."""
    by_groups = {}
    for *rows, similarity in zip(
        pairs.held_out, pairs.closest, pairs.similarity, strict=True
    ):
        groups = tuple(images.groups[rows])
        by_groups.setdefault(groups, (rows, similarity))
    return [
        {
            "similarity": round(float(similarity), 3),
            "images": [
                {
                    "id": str(images.ids[row]),
                    "split": str(images.splits[row]),
                    "label": LABELS[images.labels[row]],
                }
                for row in rows
            ],
        }
        for rows, similarity in list(by_groups.values())[:PAIRS_SHOWN]
    ]


def _write_page(path: Path, record: dict[str, Any], source: Source) -> None:
    """Writes the record as a page, with the images of its pairs."""
    ids = {
        image["id"]
        for pairs in record["pairs"].values()
        for pair in pairs
        for image in pair["images"]
    }
    images = {
        id: pages.data_url(pixels) for id, pixels in source.images(ids).items()
    }
    write_text(path, pages.render("audit.html", record=record, images=images))


def _file_name(dataset: str) -> str:
    """A data set's name without characters that do not fit a file's name."""
    folder = expanded(dataset)
    name = folder.resolve().name if folder.is_dir() else dataset
    return file_name(name) or "faces"
