"""Which images of a data set belong together, such as those of one person."""

import csv
import io
from pathlib import Path

import numpy as np

from dfk.errors import UserError


def read_groups(root: Path) -> dict[str, str]:
    """Reads which images of a data set belong together.

    Args:
        root: the folder of the splits, and perhaps of `groups.csv` with the
            columns `path` and `group`.

    Returns:
        The group by the image's path below the root. Images without a group
        are left out; without a file, all are.

    Raises:
        UserError: the file lacks a column, or none of its paths is there.
    """
    table = root / "groups.csv"
    if not table.is_file():
        return {}
    try:
        # Excel puts a byte order mark in front.
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


def groups_of_each_class(labels: np.ndarray, groups: np.ndarray) -> int:
    """Counts the groups of the class that has fewer of them.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, the group of each image.

    Example:
        >>> groups_of_each_class(np.array([0, 0, 1, 1]), np.array([1, 2, 3, 3]))
        1
    """
    return min(len(np.unique(groups[labels == label])) for label in (0, 1))
