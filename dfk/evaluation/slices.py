"""Where a detector is good and where it is not: groups, sizes of images."""

from pathlib import Path
from typing import Any

import numpy as np

from dfk.data import folders
from dfk.images.headers import opened

# Fewer images than this say nothing about a group.
SMALLEST_GROUP = 2
WORST_GROUPS = 10
SIZE_BINS = 4


def by_group(
    groups: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> list[dict[str, Any]]:
    """The groups (people, videos) that a detector is worst on.

    Args:
        groups: str `[N]`, the group of each image.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.

    Returns:
        At most `WORST_GROUPS` rows with the `name`, the `images` and the
        `accuracy` at 0.5, the worst first; of groups of at least
        `SMALLEST_GROUP` images.

    Example:
        >>> by_group(groups, labels, probabilities)[0]
        {'name': 'ann', 'images': 4, 'accuracy': 0.25}
    """
    correct = (probabilities > 0.5) == labels
    names, members, counts = np.unique(
        groups, return_inverse=True, return_counts=True
    )
    accuracy = np.bincount(members, correct) / counts
    rows = [
        {"name": str(name), "images": int(count), "accuracy": float(share)}
        for name, count, share in zip(names, counts, accuracy, strict=True)
        if count >= SMALLEST_GROUP
    ]
    return sorted(rows, key=lambda row: (row["accuracy"], -row["images"]))[
        :WORST_GROUPS
    ]


def by_size(
    sides: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> list[dict[str, Any]]:
    """Accuracy by the size that the images' files have.

    Args:
        sides: int `[N]`, the shorter side of each file's image, in pixels.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.

    Returns:
        From small to large at most `SIZE_BINS` rows with the sides `low` and
        `high`, the `images` and the `accuracy` at 0.5.

    Example:
        >>> by_size(np.array([64, 256]), labels, probabilities)[0]["high"]
        64
    """
    correct = (probabilities > 0.5) == labels
    edges = np.unique(np.quantile(sides, np.linspace(0, 1, SIZE_BINS + 1)[1:]))
    bins = np.searchsorted(edges, sides)
    return [
        {
            "low": int(sides[bins == number].min()),
            "high": int(sides[bins == number].max()),
            "images": int(np.sum(bins == number)),
            "accuracy": float(np.mean(correct[bins == number])),
        }
        for number in np.unique(bins)
    ]


def sides_of(data_dir: str, ids: np.ndarray) -> np.ndarray | None:
    """The shorter sides of a folder's images.

    Args:
        data_dir: the folder that was evaluated.
        ids: str `[N]`, the images' paths in it.

    Returns:
        int `[N]` in pixels, or None where the ids name no files there, or
        one that Pillow refuses.
    """
    folder = Path(data_dir).expanduser()
    root = folders.root(folder) or folder
    paths = [root / id for id in ids]
    if not all(path.is_file() for path in paths):
        return None
    sides = []
    for path in paths:
        image = opened(path)
        if image is None:
            return None
        with image:
            sides.append(min(image.size))
    return np.array(sides)
