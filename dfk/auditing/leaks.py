"""What the held-out splits share with the images a detector trains on."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import poisson

from dfk.auditing.checks import (
    DANGER,
    LEAK_DANGER,
    NOT_CHECKED,
    OK,
    PEOPLE_DANGER,
    Check,
    leak_verdict,
)
from dfk.auditing.images import ImageTable
from dfk.data import SPLITS
from dfk.data.folders import LABELS

# Of 256 bits. Measured on 1,800 faces of Kaggle's set and 2,600 of DFDC:
# saved again as JPEG of quality 20, shrunk to 64 pixels, 20 % brighter or
# grey, 99 % of the images stay within 22; cropped by 2 % on every side, half
# do. Of the 1.6 million pairs of different images of Kaggle's set, whose faces
# are all aligned alike, only one is this close (38): two fakes that are
# practically the same image. The first two different people are at 42.
HAMMING_LIMIT = 40

# A swap may change little of a face: of DFDC's fakes, one in a hundred is
# within 8 of its real counterpart. An equal picture is within a few.
SAME_LIMIT = 6

# How often a held-out image of a stranger may be taken for someone. With a
# stricter limit FaceNet would find almost none of the true pairs.
FALSE_MATCHES = 0.05

NEEDS_TWO = "Needs pictures in at least two splits."

# Limits the product of a block and a split to tens of megabytes.
_ROWS_AT_ONCE = 512


@dataclasses.dataclass(frozen=True)
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


def near_duplicates(images: ImageTable) -> tuple[Check, Pairs | None]:
    """Checks for the same image, or its mirror image, in two splits."""
    name = "near-duplicates"
    held_out = _held_out(images.splits)
    if not held_out:
        return Check(name, NOT_CHECKED, NEEDS_TWO), None
    bits = images.hashes.shape[1]
    found = closest_pairs(
        _signs(images.hashes),
        images.splits,
        1 - 2 * HAMMING_LIMIT / bits - 1e-6,
        _signs(images.mirrored),
    )
    count = len(np.unique(found.held_out))
    share = count / held_out
    sentence = (
        f"Nearly equal to one of an earlier split: {count:,} of {held_out:,} "
        f"held-out pictures ({share:.1%})."
        if count
        else f"None of {held_out:,} held-out pictures nearly equals one of an "
        "earlier split."
    )
    numbers = {
        "held_out_images": count,
        "share": share,
        "hamming_limit": HAMMING_LIMIT,
        "bits": bits,
        "compared": found.compared,
    }
    verdict = leak_verdict(share, LEAK_DANGER)
    return Check(name, verdict, sentence, numbers), found


def both_labels(images: ImageTable) -> tuple[Check, Pairs | None]:
    """Checks for the same image among the reals and among the fakes.

    No detector can be right about both. They may lie in one split.
    """
    name = "both labels"
    if len(np.unique(images.labels)) < len(LABELS):
        return Check(name, NOT_CHECKED, "Needs real and fake pictures."), None
    bits = images.hashes.shape[1]
    found = closest_pairs(
        _signs(images.hashes),
        np.array(LABELS)[images.labels],
        1 - 2 * SAME_LIMIT / bits - 1e-6,
        _signs(images.mirrored),
        LABELS,
    )
    count = len(found.held_out)
    fakes = int(images.labels.sum())
    sentence = (
        f"Also among the real pictures: {count:,} of {fakes:,} fakes."
        if count
        else f"None of {fakes:,} fakes is also among the real pictures."
    )
    numbers = {"images": count, "hamming_limit": SAME_LIMIT, "bits": bits}
    return Check(name, DANGER if count else OK, sentence, numbers), found


def same_person(
    images: ImageTable, embeddings: np.ndarray
) -> tuple[Check, Pairs | None]:
    """Checks for people who have photographs in two splits.

    Only real images are compared: the face of a generated fake is nobody's,
    and a swapped one has its real counterpart in the data.

    Args:
        images: of the data set.
        embeddings: float32 `[N, D]`, FaceNet's, of length 1.
    """
    name = "same person"
    real = np.flatnonzero(images.labels == 0)
    held_out = _held_out(images.splits[real])
    if not held_out:
        sentence = "Needs real pictures in at least two splits."
        return Check(name, NOT_CHECKED, sentence), None
    limit = person_similarity(len(real))
    among = closest_pairs(embeddings[real], images.splits[real], limit)
    found = dataclasses.replace(
        among, held_out=real[among.held_out], closest=real[among.closest]
    )
    count = len(np.unique(found.held_out))
    chance = FALSE_MATCHES * held_out
    sentence = (
        f"Like a person of an earlier split: {count:,} of {held_out:,} "
        f"held-out real pictures ({count / held_out:.1%}); chance explains up "
        f"to {chance:.0f}."
    )
    numbers = {
        "held_out_images": count,
        "share": count / held_out,
        "expected_by_chance": chance,
        "similarity": limit,
        "compared": found.compared,
    }
    verdict = _people_verdict(count, chance, held_out)
    return Check(name, verdict, sentence, numbers), found


def person_similarity(gallery: int) -> float:
    """How alike two FaceNet embeddings must be to be called one person.

    The more faces a stranger is compared with, the closer the closest one is.
    Of the 404,550 pairs of FFHQ faces in Kaggle's set, 1 in 10,000 has a
    cosine above 0.843 and 1 in 100,000 above 0.886: 0.043 more for a tenth of
    the pairs. (The six closest pairs are all of small children.) At the limit,
    `FALSE_MATCHES` false matches of an image are expected.

    Args:
        gallery: how many faces each face is compared with.

    Returns:
        The lowest cosine that counts as the same person.

    Reference:
        Grother, Ngan and Hanaoka, "Face Recognition Vendor Test, Part 2:
        Identification", NISTIR 8271, 2019 (the false positive identification
        rate).

    Example:
        >>> round(person_similarity(1000), 3)
        0.856
    """
    rate = FALSE_MATCHES / gallery
    return 0.886 - 0.043 * (math.log10(rate) + 5)


def closest_pairs(
    vectors: np.ndarray,
    splits: np.ndarray,
    limit: float,
    mirrored: np.ndarray | None = None,
    order: Sequence[str] = SPLITS,
) -> Pairs:
    """Finds the images whose closest one in an earlier split is too close.

    Args:
        vectors: float32 `[N, D]`, rows of length 1.
        splits: str `[N]`, of `order`.
        limit: the lowest inner product of two rows that counts.
        mirrored: float32 `[N, D]`, the same of the mirror images; the closer of
            both counts.
        order: the splits, or other parts, from early to late.

    Returns:
        At most one pair for each held-out image and earlier split.

    Example:
        >>> equal = np.ones((2, 1), "float32")
        >>> closest_pairs(equal, np.array(["train", "test"]), 0.9)
        Pairs(held_out=array([1]), closest=array([0]), ...)
    """
    both = [vectors] if mirrored is None else [vectors, mirrored]
    rows = {name: np.flatnonzero(splits == name) for name in order}
    # Begins with no pairs, so that there is something to concatenate.
    found = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    compared = 0
    for earlier, later in itertools.combinations(order, 2):
        if not len(rows[earlier]):
            continue
        compared += len(rows[earlier]) * len(rows[later])
        keys = vectors[rows[earlier]]
        for start in range(0, len(rows[later]), _ROWS_AT_ONCE):
            block = rows[later][start : start + _ROWS_AT_ONCE]
            products = np.max([v[block] @ keys.T for v in both], axis=0)
            best = products.argmax(axis=1)
            value = products[np.arange(len(block)), best]
            near = value >= limit
            found.append((block[near], rows[earlier][best[near]], value[near]))
    held_out, closest, similarity = map(
        np.concatenate, zip(*found, strict=True)
    )
    order = np.argsort(-similarity, kind="stable")
    return Pairs(held_out[order], closest[order], similarity[order], compared)


def crossing_groups(images: ImageTable) -> Check:
    """Checks for groups, such as a video or a person, in two splits."""
    name = "groups"
    if (images.groups == images.ids).all():
        return Check(
            name,
            NOT_CHECKED,
            "Nothing says which pictures belong together (a groups.csv with "
            "path,group would).",
        )
    held_out = _held_out(images.splits)
    if not held_out:
        return Check(name, NOT_CHECKED, NEEDS_TWO)
    groups, members = np.unique(images.groups, return_inverse=True)
    # The splits by number, and the first of them that each group is in.
    numbers = np.array([SPLITS.index(split) for split in images.splits])
    first = np.full(len(groups), len(SPLITS))
    np.minimum.at(first, members, numbers)
    leaked = numbers > first[members]
    share = float(np.sum(leaked) / held_out)
    crossing, total = len(np.unique(members[leaked])), len(groups)
    return Check(
        name,
        leak_verdict(share, LEAK_DANGER),
        f"In more than one split: {crossing:,} of {total:,} groups, with "
        f"{share:.1%} of the held-out pictures."
        if crossing
        else f"None of {total:,} groups lies in more than one split.",
        {
            "groups": total,
            "crossing": crossing,
            "held_out_images": int(np.sum(leaked)),
            "share": share,
        },
    )


def _people_verdict(count: int, chance: float, held_out: int) -> str:
    """The verdict on the matches that chance does not explain."""
    if count <= poisson.ppf(0.975, chance):
        return OK
    return leak_verdict((count - chance) / held_out, PEOPLE_DANGER)


def _held_out(splits: np.ndarray) -> int:
    """How many images have an earlier split to be compared with."""
    first = next((name for name in SPLITS if name in splits), None)
    return int((splits != first).sum())


def _signs(bits: np.ndarray) -> np.ndarray:
    """Makes rows of length 1: h of B bits differ at a product of 1 - 2 h/B."""
    return (2 * bits.astype("float32") - 1) / bits.shape[1] ** 0.5
