"""Which pictures a user means, and what their folders say about them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dfk.data import folders
from dfk.embedding.arguments import check
from dfk.errors import UserError

_SPLIT_NAMES = {
    alias: split for split, names in folders.SPLITS.items() for alias in names
}


@dataclass(frozen=True)
class Picture:
    """What is known of a picture; an empty string is not known.

    Args:
        id: its name, different from that of all others.
        path: its file.
        label: `real` or `fake`.
        identity: who it shows, or what else it belongs to.
        split: `train`, `validation` or `test`.
    """

    id: str
    path: str = ""
    label: str = ""
    identity: str = ""
    split: str = ""


def find(
    arguments: Sequence[str],
    split: str = "all",
    leave_out: Path | None = None,
) -> list[Picture]:
    """Lists the pictures that files and folders stand for.

    A folder is looked through with all that is below it. Files below folders
    called `real` and `fake` have that label, and the split that the folder
    above is called after; below any other sub-folder they have its name as
    their identity. A data set's `groups.csv` (`path,group`) goes before that.

    Args:
        arguments: paths of files and folders. Files that are named
            themselves may have any suffix.
        split: leaves only the pictures of that split, except with `all`.
        leave_out: a folder not to look into.

    Returns:
        The pictures, each file once.

    Raises:
        UserError: nothing is at a path, or no picture is left.

    Example:
        >>> find(["photographs"])[0]
        Picture(id='ann/1.jpg', path='photographs/ann/1.jpg', label='',
            identity='ann', split='')
    """
    check(arguments)
    found = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            pictures = _below(path, leave_out, alone=len(arguments) == 1)
        else:
            pictures = [Picture(id=str(path), path=str(path))]
        for picture in pictures:
            found.setdefault(os.path.realpath(picture.path), picture)
    chosen = [p for p in found.values() if split in ("all", p.split)]
    if not chosen:
        of_split = "" if split == "all" else f" of the split {split}"
        raise UserError(
            f"No pictures{of_split} in {', '.join(arguments)}: pass a folder "
            "that holds JPEG, PNG, WebP, BMP or GIF files."
        )
    return chosen


def _below(folder: Path, leave_out: Path | None, alone: bool) -> list[Picture]:
    root = folders.root(folder) or folder
    groups = folders.groups(root)
    left_out = leave_out and leave_out.resolve()
    pictures = []
    for path in _folders(root):
        resolved = path.resolve()
        if left_out and left_out in (resolved, *resolved.parents):
            continue
        pictures += [
            _picture(file, root, groups, alone)
            for file in folders.pictures(path)
        ]
    return pictures


def _folders(root: Path) -> list[Path]:
    """A folder and all below it, less hidden ones, in the order of names."""
    below = sorted(path for path in root.rglob("*") if path.is_dir())
    return [root] + [
        path
        for path in below
        if not any(p.startswith(".") for p in path.relative_to(root).parts)
    ]


def _picture(
    file: Path, root: Path, groups: dict[str, str], alone: bool
) -> Picture:
    name = file.relative_to(root).as_posix()
    above = [*file.relative_to(root).parts[:-1]]
    label = above[-1] if above and above[-1] in folders.LABELS else ""
    folder = "" if label or not above else above[-1]
    return Picture(
        id=name if alone else str(file),
        path=str(file),
        label=label,
        identity=groups.get(name, folder),
        split=_SPLIT_NAMES.get(above[-2], "") if len(above) > 1 else "",
    )
