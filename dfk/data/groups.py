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
        UserError: the file lacks a column, names a file that is not there, or
            gives an image two groups.
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
    found = {}
    for row in rows:
        path, group = row["path"], row["group"]
        if path and group and found.setdefault(path, group) != group:
            raise UserError(
                f"{table} gives {path} two groups, {found[path]!r} and "
                f"{group!r}: leave one of the rows out."
            )
    gone = [path for path in found if not (root / path).is_file()]
    if gone:
        raise UserError(
            f"{table} names {len(gone)} files that are not there, such as "
            f"{gone[0]!r}: leave those rows out, or write paths below {root}, "
            "as in train/real/photo.jpg."
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
