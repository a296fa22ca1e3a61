"""Which images a user means, and what their folders say about them."""

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
class ListedImage:
    """What is known of an image; an empty string is not known.

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
) -> list[ListedImage]:
    """Lists the images that files and folders stand for.

    A folder is looked through with all that is below it. Files below folders
    called `real` and `fake` have that label, and the split that the folder
    above is called after; below any other sub-folder they have its name as
    their identity. A data set's `groups.csv` (`path,group`) goes before that.

    Args:
        arguments: paths of files and folders. Files that are named
            themselves may have any suffix.
        split: leaves only the images of that split, except with `all`.
        leave_out: a folder not to look into.

    Returns:
        The images, each file once.

    Raises:
        UserError: nothing is at a path, or no image is left.

    Example:
        >>> find(["photographs"])[0]
        Image(id='ann/1.jpg', path='photographs/ann/1.jpg', label='',
            identity='ann', split='')
    """
    check(arguments)
    found = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            images = _below(path, leave_out, alone=len(arguments) == 1)
        else:
            images = [ListedImage(id=str(path), path=str(path))]
        for image in images:
            found.setdefault(os.path.realpath(image.path), image)
    chosen = [p for p in found.values() if split in ("all", p.split)]
    if not chosen:
        of_split = "" if split == "all" else f" of the split {split}"
        raise UserError(
            f"No pictures{of_split} in {', '.join(arguments)}: pass a folder "
            "that holds JPEG, PNG, WebP, BMP or GIF files."
        )
    return chosen


def _below(
    folder: Path, leave_out: Path | None, alone: bool
) -> list[ListedImage]:
    root = folders.root(folder) or folder
    groups = folders.groups(root)
    left_out = leave_out and leave_out.resolve()
    images = []
    for path in _folders(root):
        resolved = path.resolve()
        if left_out and left_out in (resolved, *resolved.parents):
            continue
        images += [
            _image(file, root, groups, alone) for file in folders.images(path)
        ]
    return images


def _folders(root: Path) -> list[Path]:
    """A folder and all below it, less hidden ones, in the order of names."""
    below = sorted(path for path in root.rglob("*") if path.is_dir())
    return [root] + [
        path
        for path in below
        if not any(p.startswith(".") for p in path.relative_to(root).parts)
    ]


def _image(
    file: Path, root: Path, groups: dict[str, str], alone: bool
) -> ListedImage:
    name = file.relative_to(root).as_posix()
    above = [*file.relative_to(root).parts[:-1]]
    label = above[-1] if above and above[-1] in folders.LABELS else ""
    folder = "" if label or not above else above[-1]
    return ListedImage(
        id=name if alone else str(file),
        path=str(file),
        label=label,
        identity=groups.get(name, folder),
        split=_SPLIT_NAMES.get(above[-2], "") if len(above) > 1 else "",
    )
