"""What the held-out splits share with the images a detector trains on."""

import dataclasses
import math

import numpy as np
from scipy.stats import poisson

from dfk.auditing import pairs, verdicts
from dfk.auditing.images import ImageTable
from dfk.auditing.pairs import Pairs
from dfk.auditing.verdicts import Check

# Of 256 bits. Measured on 1,800 faces of Kaggle's set and 2,600 of DFDC:
# saved again as JPEG of quality 20, shrunk to 64 pixels, 20 % brighter or
# grey, 99 % of the images stay within 22; cut by 2 % on every side, half do.
# Among the 1.6 million pairs of different images of Kaggle's set, of which
# all faces are aligned alike, only one is this close (38): two fakes that are
# practically the same image. The first two different people are at 42.
HAMMING_LIMIT = 40

# A held-out image of a stranger is taken for someone at most this often.
# Stricter, FaceNet would find nearly none of the pairs that there are.
FALSE_MATCHES = 0.05

NEEDS_TWO = "Needs pictures in at least two splits."


def near_duplicates(images: ImageTable) -> tuple[Check, Pairs | None]:
    """Checks for the same image, or its mirror image, in two splits."""
    name = "near-duplicates"
    held_out = _held_out(images.splits)
    if not held_out:
        return Check(name, verdicts.NOT_CHECKED, NEEDS_TWO), None
    bits = images.hashes.shape[1]
    found = pairs.across(
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
        "held_out_pictures": count,
        "share": share,
        "hamming_limit": HAMMING_LIMIT,
        "bits": bits,
        "compared": found.compared,
    }
    verdict = verdicts.leak(share, verdicts.LEAK_DANGER)
    return Check(name, verdict, sentence, numbers), found


def same_person(
    images: ImageTable, embeddings: np.ndarray
) -> tuple[Check, Pairs | None]:
    """Checks for people whose photographs lie in two splits.

    Real images are compared with real ones: the face of a generated fake is
    nobody's, and a swapped one has its real counterpart in the data.

    Args:
        images: of the data set.
        embeddings: float32 `[N, D]`, FaceNet's, of length 1.
    """
    name = "same person"
    real = np.flatnonzero(images.labels == 0)
    held_out = _held_out(images.splits[real])
    if not held_out:
        sentence = "Needs real pictures in at least two splits."
        return Check(name, verdicts.NOT_CHECKED, sentence), None
    limit = person_similarity(len(real))
    among = pairs.across(embeddings[real], images.splits[real], limit)
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
        "held_out_pictures": count,
        "share": count / held_out,
        "expected_by_chance": chance,
        "similarity": limit,
        "compared": found.compared,
    }
    verdict = _people_verdict(count, chance, held_out)
    return Check(name, verdict, sentence, numbers), found


def person_similarity(gallery: int) -> float:
    """How alike two FaceNet embeddings must be to be called one person.

    The more faces a stranger is compared with, the closer the closest one.
    Of the 404,550 pairs of FFHQ faces in Kaggle's set, 1 in 10,000 has a
    cosine above .843 and 1 in 100,000 above .886: .043 for each tenth. (The
    six closest pairs that were looked at are all of small children.) The limit
    makes the expected false matches of an image `FALSE_MATCHES`.

    Args:
        gallery: how many faces each is compared with.

    Returns:
        The least cosine.

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


def crossing_groups(images: ImageTable) -> Check:
    """Checks for groups, such as a video or a person, in two splits."""
    name = "groups"
    if (images.groups == images.ids).all():
        return Check(
            name,
            verdicts.NOT_CHECKED,
            "Nothing says which pictures belong together (a groups.csv with "
            "path,group would).",
        )
    if len(np.unique(images.splits)) < 2:
        return Check(name, verdicts.NOT_CHECKED, NEEDS_TWO)
    leaked, held_out, crossing = _crossing(images)
    share = leaked / max(held_out, 1)
    total = len(np.unique(images.groups))
    return Check(
        name,
        verdicts.leak(share, verdicts.LEAK_DANGER),
        f"In more than one split: {crossing:,} of {total:,} groups, with "
        f"{share:.1%} of the held-out pictures."
        if crossing
        else f"None of {total:,} groups lies in more than one split.",
        {
            "groups": total,
            "crossing": crossing,
            "held_out_pictures": leaked,
            "share": share,
        },
    )


def _crossing(images: ImageTable) -> tuple[int, int, int]:
    """Leaked and all held-out images, and the groups in several splits."""
    seen: set[str] = set()
    crossing: set[str] = set()
    leaked = held_out = 0
    for name in pairs.ORDER:
        groups = images.groups[images.splits == name]
        crossing |= seen & set(groups)
        leaked += int(np.isin(groups, list(seen)).sum())
        held_out += len(groups) if seen else 0
        seen |= set(groups)
    return leaked, held_out, len(crossing)


def _people_verdict(count: int, chance: float, held_out: int) -> str:
    """What cannot be chance, and how much of it there is."""
    if count <= poisson.ppf(0.975, chance):
        return verdicts.OK
    return verdicts.leak((count - chance) / held_out, verdicts.PEOPLE_DANGER)


def _held_out(splits: np.ndarray) -> int:
    """How many images have an earlier split to be compared with."""
    first = next((name for name in pairs.ORDER if name in splits), None)
    return int((splits != first).sum())


def _signs(bits: np.ndarray) -> np.ndarray:
    """Bits as rows of length 1: a product of 1 - 2 h / B for h of B unlike."""
    return (2 * bits.astype("float32") - 1) / bits.shape[1] ** 0.5
