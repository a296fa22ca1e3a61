"""What a check found, and the checks that only count images."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from dfk.auditing.images import ImageTable
from dfk.data import SPLITS

OK = "ok"
WARNING = "warning"
DANGER = "danger"
NOT_CHECKED = "not checked"

NO_FILES = "A TFDS data set has records, not files."

# A leaked share s of the held-out images can lift their accuracy by as much
# as s. Below 1 % that is small beside the interval of any set of this size.
LEAK_DANGER = 0.01
# At the strict limit that it needs here, FaceNet recognises few people: of
# the sample's 192 held-out real images, all of people that training knows,
# one in six. So this share, beyond chance, stands for several times as many.
PEOPLE_DANGER = 0.02

# The larger class's share of a split: above the first, accuracy flatters;
# above the second, it says nothing.
MAJORITY_WARNING = 0.6
MAJORITY_DANGER = 0.9

# The lower end of the interval must exceed 0.5 by a little, since a few of
# many intervals exclude it by chance.
AUC_WARNING_ABOVE = 0.52
# How a file was written says nothing about a face. At 0.7 a detector that
# learned only that would already look like a result.
ENCODING_DANGER = 0.7
# Colours and framing are part of what an image shows, and honest collections
# differ in them. When they decide nearly every image, nothing is left to
# learn.
CONTENT_DANGER = 0.9


@dataclass(frozen=True)
class Check:
    """What one check found.

    Args:
        name: of the check, in plain words.
        verdict: `ok`, `warning` (a person should see), `danger` (numbers
            measured on this data set will mislead) or `not checked`.
        sentence: what was found, or why nothing was.
        numbers: what the sentence rests on, for machines.
    """

    name: str
    verdict: str
    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)


def leak_verdict(share: float, danger: float) -> str:
    """The verdict on a share of held-out images that training has seen.

    Example:
        >>> leak_verdict(0.002, LEAK_DANGER)
        'warning'
    """
    if share >= danger:
        return DANGER
    return WARNING if share > 0 else OK


def auc_verdict(auc: dict[str, float], danger: float) -> str:
    """The verdict on a signal that should not tell fake from real.

    Args:
        auc: the `value` of its ROC AUC, and the `low` end of its interval.
        danger: the AUC from which the signal is a danger.
    """
    if auc["low"] <= AUC_WARNING_ABOVE:
        return OK
    return DANGER if auc["value"] >= danger else WARNING


def class_balance(images: ImageTable) -> Check:
    """Checks how often always answering the larger class would be right.

    Example:
        >>> class_balance(images).sentence
        'Always answering the larger class is right on 50.0 % of train.'
    """
    counts = {}
    for name in (name for name in SPLITS if name in images.splits):
        fake = images.labels[images.splits == name]
        counts[name] = {"real": int((fake == 0).sum()), "fake": int(fake.sum())}
    shares = {
        name: max(count.values()) / sum(count.values())
        for name, count in counts.items()
    }
    found = [f"{share:.1%} of {name}" for name, share in shares.items()]
    largest = max(shares.values())
    verdict = WARNING if largest > MAJORITY_WARNING else OK
    return Check(
        "class balance",
        DANGER if largest > MAJORITY_DANGER else verdict,
        f"Always answering the larger class is right on {', '.join(found)}.",
        {"counts": counts, "majority_accuracy": shares},
    )


def unreadable_files(
    files: Collection[str] | None, images: ImageTable
) -> Check:
    """Lists the files that are no images; every other check omits them.

    Args:
        files: the ids of all files; None for a data set without files.
        images: those that could be decoded.
    """
    name = "unreadable files"
    if files is None:
        return Check(name, NOT_CHECKED, NO_FILES)
    broken = sorted(set(files) - set(images.ids))
    if not broken:
        return Check(name, OK, f"All {len(files):,} files are pictures.")
    return Check(
        name,
        WARNING,
        f"{len(broken):,} of {len(files):,} files cannot be decoded, "
        f"{broken[0]} among them; the other checks leave them out.",
        {"files": broken},
    )
