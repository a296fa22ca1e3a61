"""Kaggle's "140k Real and Fake Faces": FFHQ photographs, StyleGAN faces."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorflow as tf

from dfk.data import folders
from dfk.errors import UserError
from dfk.images import decode

HANDLE = "xhlulu/140k-real-and-fake-faces"
# In each class of each split, as published.
PUBLISHED = {"train": 50_000, "validation": 10_000, "test": 10_000}


def find(manual_dir: Path | None) -> Path:
    """Finds the archive in a folder, or downloads it with kagglehub.

    Args:
        manual_dir: where the unpacked archive may already lie.

    Returns:
        The folder that holds `train`, `valid` and `test`.

    Raises:
        UserError: it is not there and cannot be downloaded.
    """
    root = manual_dir and folders.root(manual_dir)
    if root:
        return root
    import kagglehub

    try:
        downloaded = Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # kagglehub's errors share no base class
        raise UserError(
            f"Kaggle's {HANDLE} could not be downloaded "
            f"({type(error).__name__}): get the archive by hand and pass its "
            "folder to dfk.train with --manual_dir, pass any folder of faces "
            "with --data_dir, or use --dataset=real_fake_faces/sample."
        ) from error
    root = folders.root(downloaded)
    if root is None:
        raise UserError(
            f"Kaggle's {HANDLE} was downloaded to {downloaded}, which has no "
            "folder train: remove it to download it again."
        )
    return root


def check_found(root: Path, published: Mapping[str, int]) -> None:
    """Compares the numbers of images with the published ones.

    Args:
        root: the folder that holds the splits.
        published: for each split, the number of images in each class.

    Raises:
        UserError: a class has more or fewer.
    """
    for split, expected in published.items():
        for label, files in _images(root, split).items():
            found = len(files)
            if found != expected:
                raise UserError(
                    f"Found {found} {label} images in the {split} part of "
                    f"{root} where {expected} were expected: complete the "
                    "archive, or use it as it is with --data_dir."
                )


def examples(
    root: Path, split: str, per_class: int, image_size: int
) -> Iterator[dict]:
    """Chooses and decodes the images of one split, alternating real and fake.

    Those whose names have the smallest SHA-256 are taken. So the choice
    depends neither on the order of the listing nor on the other images.

    Args:
        root: the folder that holds the splits.
        split: `train`, `validation` or `test`.
        per_class: the number of real, and of fake images to take.
        image_size: the side of the results, in pixels.

    Yields:
        Dictionaries with `image` (uint8 `[S, S, 3]`), `label`, `id`, `group`.

    Raises:
        UserError: an image could not be decoded, after all others.
    """
    chosen = [
        sorted(files, key=_rank)[:per_class]
        for files in _images(root, split).values()
    ]
    skipped = []
    for pair in zip(*chosen, strict=True):
        for label, path in enumerate(pair):
            try:
                image = decode.decode(path.read_bytes(), image_size).numpy()
            except tf.errors.InvalidArgumentError:
                skipped.append(path)
                continue
            yield {
                "image": image,
                "label": label,
                "id": path.name,
                "group": path.name,
            }
    if skipped:
        raise UserError(
            f"Skipped {len(skipped)} broken images in the {split} part of "
            f"{root} where 0 were expected, the first being {skipped[0]}: "
            "replace them, or remove the folder to download it again."
        )


def _images(root: Path, split: str) -> dict[str, list[Path]]:
    """The real and the fake files of a split."""
    found = folders.ImageFolder(root).classes(split)
    return {
        label: [file.path for file in found.get(label, [])]
        for label in folders.LABELS
    }


def _rank(path: Path) -> str:
    return hashlib.sha256(path.name.encode()).hexdigest()
