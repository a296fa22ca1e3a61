"""Which images of a data set belong together, such as those of one person."""

import csv
import io
import posixpath
from collections.abc import Container
from pathlib import Path

import numpy as np

from dfk.errors import UserError

# So many rows without an image are named.
_NAMED = 3


def read_groups(root: Path, images: Container[str]) -> dict[str, str]:
    """Reads which images of a data set belong together.

    Args:
        root: the folder of the splits, and perhaps of `groups.csv` with the
            columns `path` and `group`.
        images: the paths of its images, below the root.

    Returns:
        The group by the image's path. Images without a group are left out;
        without a file, all are.

    Raises:
        UserError: the file lacks a column or is broken, or a row names no
            image, or gives one a second group.
    """
    table = root / "groups.csv"
    if not table.is_file():
        return {}
    try:
        # Excel puts a byte order mark in front.
        text = table.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{table} is no table ({error}): save it as CSV in UTF-8."
        ) from error
    if not {"path", "group"} <= set(reader.fieldnames or ()):
        raise UserError(
            f"{table} has the columns {reader.fieldnames}: its first line "
            "must be path,group."
        )
    found, unmatched = {}, []
    for row in rows:
        # Without doubled slashes and the like.
        path, group = posixpath.normpath(row["path"] or ""), row["group"]
        if path not in images:
            unmatched.append(row["path"] or "")
        elif group and found.setdefault(path, group) != group:
            raise UserError(
                f"{table} gives {path} two groups, {found[path]!r} and "
                f"{group!r}: leave one of the rows out."
            )
    if unmatched:
        named = ", ".join(map(repr, unmatched[:_NAMED]))
        raise UserError(
            f"{table} has no picture for {len(unmatched):,} of its "
            f"{len(rows):,} rows, such as {named}: leave those rows out, or "
            f"write paths below {root}, as in train/real/photo.jpg."
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
