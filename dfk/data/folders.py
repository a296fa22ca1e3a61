"""Folders of images laid out `{train,valid,test}/{real,fake}/*`."""

import csv
import io
from pathlib import Path

from dfk.errors import UserError

# What each split may be called; the first is what the Kaggle archive uses.
SPLITS = {
    "train": ("train",),
    "validation": ("valid", "validation"),
    "test": ("test",),
}
# The index is the label: `fake` is the positive class.
LABELS = ("real", "fake")

_NESTED = ("real_vs_fake/real-vs-fake", "real-vs-fake", ".")
_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}


def root(folder: Path) -> Path | None:
    """Finds where the splits lie, in a folder or in its archive's nesting.

    Args:
        folder: a folder, or an unpacked Kaggle archive.

    Returns:
        The folder that holds at least one split, or None.
    """
    for nested in _NESTED:
        candidate = folder / nested
        if any(split_folder(candidate, split) for split in SPLITS):
            return candidate
    return None


def split_folder(root: Path, split: str) -> Path | None:
    """The folder of one split, under any of its names, or None."""
    for name in SPLITS[split]:
        if (root / name).is_dir():
            return root / name
    return None


def images(folder: Path) -> list[Path]:
    """The images directly in a folder, by name; other files are left.

    Raises:
        UserError: a name is not in UTF-8, so that it could not be written
            into a data set or a table.
    """
    if not folder.is_dir():
        return []
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    )
    for path in found:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"The path {str(path)!r} is not in UTF-8: rename that file or "
                "folder."
            ) from error
    return found


def groups(root: Path) -> dict[str, str]:
    """Reads which images of a data set belong together.

    Args:
        root: the folder of the splits, and perhaps of `groups.csv` with the
            columns `path` and `group`.

    Returns:
        The group by the image's path below the root; empty without a file.

    Raises:
        UserError: the file lacks a column, or none of its paths is there.
    """
    table = root / "groups.csv"
    if not table.is_file():
        return {}
    try:
        # Excel puts a mark in front.
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{table} is no UTF-8 text ({error.reason}): save it as CSV in "
            "UTF-8."
        ) from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {"path", "group"} <= set(rows.fieldnames or ()):
        raise UserError(
            f"{table} has the columns {rows.fieldnames}: its first line "
            "must be path,group."
        )
    # Without a group, an image is one of its own.
    found = {
        row["path"]: row["group"]
        for row in rows
        if row["path"] and row["group"]
    }
    if found and not any((root / path).is_file() for path in found):
        raise UserError(
            f"{table} names no file of this data set, such as "
            f"{next(iter(found))!r}: write paths below {root}, as in "
            "train/real/photo.jpg."
        )
    return found
