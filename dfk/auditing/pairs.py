"""The closest image that another split has, for every held-out image."""

import itertools
from dataclasses import dataclass

import numpy as np

ORDER = ("train", "validation", "test")

# Bounds the product of a block and a split to tens of megabytes.
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Pairs:
    """Held-out images with their closest ones in another split.

    Args:
        held_out: int `[P]`, rows of images in the later split.
        closest: int `[P]`, rows of their closest ones in an earlier split.
        similarity: float `[P]`, 1 for equal vectors; falling.
        compared: how many pairs of images were compared.
    """

    held_out: np.ndarray
    closest: np.ndarray
    similarity: np.ndarray
    compared: int


def across(
    vectors: np.ndarray,
    splits: np.ndarray,
    limit: float,
    other: np.ndarray | None = None,
) -> Pairs:
    """Finds the images whose closest one in an earlier split is too close.

    Args:
        vectors: float32 `[N, D]`, rows of length 1.
        splits: str `[N]`, of `ORDER`.
        limit: the least inner product of two rows that counts.
        other: float32 `[N, D]`, a second view of the held-out images, such
            as their mirror images; the closer of both counts.

    Returns:
        At most one pair for each held-out image and earlier split.

    Example:
        >>> across(np.eye(2, dtype="f4")[[0, 0]], np.array(ORDER[:2]), 0.9)
        Pairs(held_out=array([1]), closest=array([0]), ...)
    """
    views = [vectors] if other is None else [vectors, other]
    rows = {name: np.flatnonzero(splits == name) for name in ORDER}
    found, compared = [], 0
    for earlier, later in itertools.combinations(ORDER, 2):
        if not len(rows[earlier]):
            continue
        compared += len(rows[earlier]) * len(rows[later])
        keys = vectors[rows[earlier]]
        for start in range(0, len(rows[later]), _ROWS_AT_ONCE):
            block = rows[later][start : start + _ROWS_AT_ONCE]
            products = np.max([view[block] @ keys.T for view in views], axis=0)
            best = products.argmax(axis=1)
            value = products[np.arange(len(block)), best]
            near = value >= limit
            found.append((block[near], rows[earlier][best[near]], value[near]))
    return _falling(found, compared)


def _falling(found: list[tuple[np.ndarray, ...]], compared: int) -> Pairs:
    if not found:
        none = np.zeros(0, int)
        return Pairs(none, none, np.zeros(0), compared)
    held_out, closest, similarity = map(
        np.concatenate, zip(*found, strict=True)
    )
    order = np.argsort(-similarity, kind="stable")
    return Pairs(held_out[order], closest[order], similarity[order], compared)
