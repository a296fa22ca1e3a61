"""Lists the images of folders. Training, auditing and embedding all use it.

The rules are the same for folder data sets `{train,valid,test}/{real,fake}/*`
and for any other tree of folders:

- An image is a file with the suffix of one, such as `.jpg`, or with the first
  bytes of one, whatever its name.
- Folders may have folders below them. The label of an image is the name of the
  folder `real` or `fake` that it lies in, the split that of the folder above;
  capitals don't matter.
- Hidden files and folders, whose names begin with a dot, are ignored.
- A link stands for what it leads to, unless that is a folder above it.
- Images come in the order of their paths.
- A name that is not in UTF-8 is an error.

What is no image, and in a data set what lies in no class of a split, is counted
as left out. Files with the suffix of an image are listed without being opened.
So broken files and links that lead nowhere are listed too; what becomes of them
is for `dfk.data.folder_faces.face_split` to say.
"""

import functools
import os
import sys
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from dfk.data.groups import read_groups
from dfk.errors import UserError
from dfk.images import FORMATS

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
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8")
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

    Attributes:
        root: the folder of the splits, which may lie deeper; the folder itself
            where there are no splits.
        has_splits: whether there are.

    Raises:
        UserError: from the methods: `groups.csv` is wrong, or a name is not in
            UTF-8.

    Example:
        >>> ImageFolder(Path("faces")).tree()[0]
        ImageFile(path=PosixPath('faces/train/real/0.jpg'),
            id='train/real/0.jpg', label='real', group='', split='train')
    """

    def __init__(self, folder: Path):
        nested = root(folder)
        self.has_splits = nested is not None
        self.root = nested or folder
        self._folder = folder

    def classes(self, split: str) -> dict[str, list[ImageFile]]:
        """The images of a split by their labels.

        Args:
            split: its name, or empty for a folder without splits, which holds
                the classes itself.

        Returns:
            At least one image for each label that has a folder; an empty
            dictionary if the split has none.

        Raises:
            UserError: the split's folder, or that of a class, is there and
                holds no images.
        """
        found = {}
        for label, folders in self._class_folders(split).items():
            below = tuple(f"{folder}/" for folder in folders)
            found[label] = [
                file
                for file in self._files[0]
                if str(file.path).startswith(below)
            ]
            if not found[label]:
                raise UserError(
                    f"{folders[0]} holds no pictures: put {label} ones there "
                    f"({FORMATS}), or remove it."
                )
        if split and not found:
            for folder in _named(self.root, SPLITS[split]):
                raise UserError(
                    f"{folder} holds neither of the folders real and fake: put "
                    "pictures into them there, or remove it."
                )
        return found

    def splits(self) -> dict[str, list[ImageFile]]:
        """The images of a data set that may lack splits and classes.

        Returns:
            The real and then the fake images of each split that is there.

        Raises:
            UserError: as `classes` does.
        """
        found = {}
        for name in SPLITS:
            for files in self.classes(name).values():
                found[name] = found.get(name, []) + files
        return found

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

    def say_left_out(self, is_data_set: bool = True) -> None:
        """Says on standard error what was left out, if anything was.

        Args:
            is_data_set: whether images that lie in no class of a split were
                left out as well.
        """
        images, others = self._files
        left_out = {"without a picture": others}
        if is_data_set:
            splits = "{train,valid,test}/" if self.has_splits else ""
            classes = tuple(
                f"{folder}/"
                for split in (SPLITS if self.has_splits else ("",))
                for folders in self._class_folders(split).values()
                for folder in folders
            )
            left_out[f"in no folder {splits}{{real,fake}}"] = [
                file.id
                for file in images
                if not str(file.path).startswith(classes)
            ]
        for why, ids in left_out.items():
            if ids:
                named = ", ".join(ids[:_NAMED] + ["..."] * (len(ids) > _NAMED))
                files = "file" if len(ids) == 1 else "files"
                print(
                    f"{self.root}: left out {len(ids):,} {files} {why} "
                    f"({named}).",
                    file=sys.stderr,
                )

    def _class_folders(self, split: str) -> dict[str, list[Path]]:
        """The folders of a split by the labels they stand for."""
        above = _named(self.root, SPLITS[split]) if split else [self.root]
        found = {
            label: [
                path for folder in above for path in _named(folder, (label,))
            ]
            for label in LABELS
        }
        return {label: folders for label, folders in found.items() if folders}

    @functools.cached_property
    def _files(self) -> tuple[list[ImageFile], list[str]]:
        """All images, and the ids of all other files."""
        images, others = {}, []
        start = len(os.path.join(self._folder, ""))
        nested = f"{self.root.relative_to(self._folder).as_posix()}/"
        nested = nested.removeprefix("./")
        for entry in _walk(self._folder):
            inside = entry.path[start:]
            if inside.startswith(nested):
                inside = inside.removeprefix(nested)
            else:
                # An archive may hold more than the data set.
                inside = os.path.relpath(entry.path, self.root)
            if _is_image(entry):
                images[inside] = Path(entry)
            elif inside != "groups.csv":
                others.append(inside)
        groups = read_groups(self.root, images.keys())
        return [
            _described(path, inside, groups) for inside, path in images.items()
        ], others


def _described(path: Path, inside: str, groups: dict[str, str]) -> ImageFile:
    folders = inside.lower().split("/")[:-1]
    label, above = "", folders[0] if folders else ""
    for over, name in zip(["", *folders], folders, strict=False):
        if name in LABELS and not label:
            label, above = name, over
    split = _SPLIT_OF.get(above, "")
    own = "" if label or not folders else path.parent.name
    return ImageFile(path, inside, label, groups.get(inside, own), split)


def root(folder: Path) -> Path | None:
    """Finds where the splits lie, in a folder or in its archive's nesting.

    Args:
        folder: a folder, or an unpacked Kaggle archive.

    Returns:
        The folder that holds at least one split, or None.
    """
    for nested in _NESTED:
        candidate = folder / nested
        for names in SPLITS.values():
            if any(path.is_dir() for path in _named(candidate, names)):
                return candidate
    return None


def _named(folder: Path, names: Container[str]) -> list[Path]:
    """What has one of these names in a folder, in any capitals."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.name.lower() in names)


def _walk(
    folder: Path | str, above: frozenset[str] = frozenset()
) -> Iterator[os.DirEntry]:
    """The files of a folder and of those below it, in the order of paths."""
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, above | {real})
        else:
            yield entry


def _is_image(file: os.DirEntry) -> bool:
    """Whether a file is listed as an image.

    Raises:
        UserError: its name is not in UTF-8, so that it could not be written
            into a data set or a table.
    """
    # A pipe would be waited for, a device is no picture.
    if not file.is_file() and os.path.exists(file):
        return False
    suffix = os.path.splitext(file.name)[1].lower()
    if suffix not in _SUFFIXES and not _begins_as_one(file):
        return False
    try:
        file.path.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"The path {file.path!r} is not in UTF-8: rename that file or "
            "folder."
        ) from error
    return True


def _begins_as_one(file: os.DirEntry) -> bool:
    try:
        with open(file, "rb") as opened:
            start = opened.read(12)
    except OSError:
        return False
    is_webp = start[:4] == b"RIFF" and start[8:] == b"WEBP"
    # Texts may begin with BM; a BMP goes on with its length and four zeros.
    is_bmp = start[:2] == b"BM" and start[6:10] == bytes(4)
    return is_webp or is_bmp or start.startswith(_SIGNATURES)
