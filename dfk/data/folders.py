"""Lists the images of folders. Training, auditing and embedding all use it.

The rules are the same for folder data sets `{train,valid,test}/{real,fake}/*`
and for any other tree of folders:

- An image is what has the suffix `.bmp`, `.gif`, `.jpeg`, `.jpg`, `.png` or
  `.webp`, in upper or lower case. Other files are ignored.
- Hidden files and folders, whose names begin with a dot, are ignored.
- A link stands for the file that it leads to.
- Images come in the order of their names.
- A name that is not in UTF-8 is an error.

Listing opens no file. So broken files, links that lead nowhere and folders
named like images are listed too; what becomes of them is for
`dfk.data.folder_faces.face_split` to say.
"""

from dataclasses import dataclass
from pathlib import Path

from dfk.data.groups import read_groups
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
_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


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

    The label is the name of an image's own folder, if that is `real` or
    `fake`, and the split the name of the folder above. The group is what
    `groups.csv` says; failing that, the name of the image's own folder, if
    that is no label.

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

    def classes(self, folder: Path) -> dict[str, list[ImageFile]]:
        """The images of a split.

        Args:
            folder: the split's folder.

        Returns:
            The images directly in its `real` and in its `fake`.
        """
        return {label: self._images(folder / label) for label in LABELS}

    def splits(self) -> dict[str, list[ImageFile]]:
        """The images of a data set that may lack splits and classes.

        Returns:
            The real and then the fake images of each split that has any.
        """
        found = {}
        for name in SPLITS:
            folder = split_folder(self.root, name)
            classes = self.classes(folder) if folder else {}
            found[name] = [file for files in classes.values() for file in files]
        return {name: files for name, files in found.items() if files}

    def tree(self, leave_out: Path | None = None) -> list[ImageFile]:
        """The images of the folder and of all folders below it.

        Args:
            leave_out: a folder whose images are left out.
        """
        left_out = leave_out and leave_out.resolve()
        found = []
        for folder in [self.root, *sorted(self.root.rglob("*"))]:
            above = folder.relative_to(self.root).parts
            if not folder.is_dir() or any(p.startswith(".") for p in above):
                continue
            resolved = folder.resolve()
            if left_out not in (resolved, *resolved.parents):
                found += self._images(folder)
        return found

    def _images(self, folder: Path) -> list[ImageFile]:
        return [self._described(path) for path in images(folder)]

    def _described(self, path: Path) -> ImageFile:
        inside = path.relative_to(self.root)
        # Two folders above, without names where there are none.
        above, own = ("", "", *inside.parts[:-1])[-2:]
        label = own if own in LABELS else ""
        return ImageFile(
            path,
            inside.as_posix(),
            label,
            self._groups.get(inside.as_posix(), "" if label else own),
            _SPLIT_OF.get(above, ""),
        )


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
    folders = (root / name for name in SPLITS[split])
    return next((folder for folder in folders if folder.is_dir()), None)


def images(folder: Path) -> list[Path]:
    """The images directly in a folder, in the order of their names.

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
