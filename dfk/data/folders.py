"""Lists the images of folders. Training, auditing and embedding all use it.

The rules are the same for folder data sets `{train,valid,test}/{real,fake}/*`
and for any other tree of folders:

- An image is a file with the suffix of one, such as `.jpg`, or with the first
  bytes of one, whatever its name.
- Folders may have folders below them. The label of an image is the name of the
  folder `real` or `fake` that it lies in, the split that of the folder above;
  capitals don't matter.
- Hidden files and folders, whose names begin with a dot, are ignored.
- A link stands for what it leads to.
- Images come in the order of their paths.
- A name that is not in UTF-8 is an error.

What is no image, and in a data set what has no split or no label, is counted as
left out. Files with the suffix of an image are listed without being opened. So
broken files and links that lead nowhere are listed too; what becomes of them is
for `dfk.data.folder_faces.face_split` to say.
"""

import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dfk.data.groups import read_groups
from dfk.errors import UserError

# What each split may be called; the first is what the Kaggle archive uses.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("valid", "validation", "val"),
    "test": ("test", "testing"),
}
# The index is the label: `fake` is the positive class.
LABELS = ("real", "fake")

_NESTED = ("real_vs_fake/real-vs-fake", "real-vs-fake", ".")
# Some of these are not decoded; they are named rather than left out.
_SUFFIXES = {
    *(".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".webp"),
    *(".avif", ".gif", ".heic", ".heif", ".tif", ".tiff"),
}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"BM")
_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}
# So many files that are left out are named.
_NAMED = 3


@dataclass(frozen=True)
class ImageFile:
    """An image file, and what its folders say about it.

    Args:
        path: where it lies.
        id: its path below the folder that was listed.
        label: `real` or `fake`; empty where it is not known.
        group: what it shares with the images that belong to it, such as the
            person; empty where it is not known.
        split: `train`, `validation` or `test`; empty where it is not known.
    """

    path: Path
    id: str
    label: str = ""
    group: str = ""
    split: str = ""


class ImageFolder:
    """Lists the images of a folder, by the rules above.

    The group of an image is what `groups.csv` says; failing that, and without
    a label, the name of its own folder.

    Args:
        folder: a folder data set, an archive that holds one, or any folder.

    Raises:
        UserError: `groups.csv` is wrong. From the methods: a name is not in
            UTF-8.

    Example:
        >>> ImageFolder(Path("faces")).tree()[0]
        ImageFile(path=PosixPath('faces/train/real/0.jpg'),
            id='train/real/0.jpg', label='real', group='', split='train')
    """

    def __init__(self, folder: Path):
        self.root = root(folder) or folder
        self._groups = read_groups(self.root)

    def classes(self, split: str) -> dict[str, list[ImageFile]]:
        """The images of a split.

        Args:
            split: its name, or empty for images whose folders `real` and
                `fake` lie in no split's.

        Returns:
            The images by label, for each label that has a folder, even if
            there are none in it.
        """
        found = {label: [] for label in self._folders_of(split)}
        for file in self._files[0]:
            if file.split == split and file.label:
                found[file.label].append(file)
        return found

    def splits(self) -> dict[str, list[ImageFile]]:
        """The images of a data set that may lack splits and classes.

        Returns:
            The real and then the fake images of each split that has any.
        """
        found = {
            name: [
                file for files in self.classes(name).values() for file in files
            ]
            for name in SPLITS
        }
        return {name: files for name, files in found.items() if files}

    def tree(self, leave_out: Path | None = None) -> list[ImageFile]:
        """The images of the folder and of all folders below it.

        Args:
            leave_out: a folder whose images are left out.
        """
        left_out = leave_out and leave_out.resolve()
        return [
            file
            for file in self._files[0]
            if left_out not in file.path.parent.resolve().parents
            and left_out != file.path.parent.resolve()
        ]

    def say_left_out(self, every_image_counts: bool = False) -> None:
        """Says on standard error what was left out, if anything was.

        Args:
            every_image_counts: also of images without a split or label.
        """
        images, others = self._files
        strays = (
            []
            if every_image_counts
            else [file.id for file in images if not (file.split and file.label)]
        )
        for found, why in (
            (others, "not pictures"),
            (strays, "in no folder {train,valid,test}/{real,fake}"),
        ):
            if found:
                named = ", ".join(sorted(found)[:_NAMED])
                more = ", ..." if len(found) > _NAMED else ""
                print(
                    f"{self.root}: left out {len(found)} files that are {why} "
                    f"({named}{more}).",
                    file=sys.stderr,
                )

    def _folders_of(self, split: str) -> list[str]:
        """The labels that a split has a folder for, in their order."""
        above = _named(self.root, SPLITS[split]) if split else [self.root]
        return [
            label
            for label in LABELS
            if any(_named(folder, (label,)) for folder in above)
        ]

    @functools.cached_property
    def _files(self) -> tuple[list[ImageFile], list[str]]:
        """All images, and the ids of all other files."""
        images, others = [], []
        for path in _walk(self.root, set()):
            inside = path.relative_to(self.root).as_posix()
            if _is_image(path):
                images.append(self._described(path, inside))
            elif inside != "groups.csv":
                others.append(inside)
        return sorted(images, key=lambda file: file.path), others

    def _described(self, path: Path, inside: str) -> ImageFile:
        folders = inside.lower().split("/")[:-1]
        label, above = "", folders[0] if folders else ""
        for over, name in zip(["", *folders], folders, strict=False):
            if name in LABELS and not label:
                label, above = name, over
        split = _SPLIT_OF.get(above, "")
        own = "" if label or not folders else path.parent.name
        group = self._groups.get(inside, own)
        return ImageFile(path, inside, label, group, split)


def root(folder: Path) -> Path | None:
    """Finds where the splits lie, in a folder or in its archive's nesting.

    Args:
        folder: a folder, or an unpacked Kaggle archive.

    Returns:
        The folder that holds at least one split, or None.
    """
    for nested in _NESTED:
        candidate = folder / nested
        if any(_named(candidate, names) for names in SPLITS.values()):
            return candidate
    return None


def _named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The folders in a folder that have one of these names, in any case."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.name.lower() in names]
    return sorted(path for path in found if path.is_dir())


def _walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    """The files of a folder and of those below it, each folder once."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, seen)
        else:
            yield path


def _is_image(path: Path) -> bool:
    """Whether a file is listed as an image.

    Raises:
        UserError: its name is not in UTF-8, so that it could not be written
            into a data set or a table.
    """
    # A pipe would be waited for, a device is no picture.
    if path.exists() and not path.is_file():
        return False
    if path.suffix.lower() not in _SUFFIXES and not _begins_as_one(path):
        return False
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"The path {str(path)!r} is not in UTF-8: rename that file or "
            "folder."
        ) from error
    return True


def _begins_as_one(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    is_webp = start[:4] == b"RIFF" and start[8:] == b"WEBP"
    return is_webp or start.startswith(_SIGNATURES)
