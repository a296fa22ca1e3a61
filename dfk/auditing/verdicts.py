"""What a check found, and the limits between verdicts, with reasons."""

from dataclasses import dataclass, field
from typing import Any

OK = "ok"
LOOK = "look"
DANGER = "danger"
NOT_CHECKED = "not checked"

# A leaked share s of the held-out images can lift their accuracy by as much
# as s. Below 1 % that drowns in the interval of any set of this size.
LEAK_DANGER = 0.01
# FaceNet, as strict as it must be, recognises few: of the sample's 192
# held-out real images, all of people that training knows, one in six. So
# this share, beyond chance, stands for several times as many.
PEOPLE_DANGER = 0.02

# Always answering the larger class is right this often: above the first,
# accuracy flatters; above the second, it says nothing.
MAJORITY_LOOK = 0.6
MAJORITY_DANGER = 0.9

# The lower end of the interval must clear .5 by a little, since a few of many
# intervals exclude it by chance.
AUC_LOOK_ABOVE = 0.52
# How a file was written says nothing about a face. At .7 a detector that only
# learned that would already be called a result.
ENCODING_DANGER = 0.7
# Colours and framing are what the image shows, and honest collections
# differ in them. When they decide nearly every image, nothing is left to
# learn.
CONTENT_DANGER = 0.9


@dataclass(frozen=True)
class Check:
    """What one check found.

    Args:
        name: of the check, in plain words.
        verdict: `ok`, `look` (a person should), `danger` (numbers measured on
            this data set will mislead) or `not checked`.
        sentence: what was found, or why nothing was.
        numbers: what the sentence rests on, for machines.
    """

    name: str
    verdict: str
    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)


def leak(share: float, danger: float) -> str:
    """The verdict on a share of held-out images that training has seen.

    Example:
        >>> leak(0.002, LEAK_DANGER)
        'look'
    """
    if share >= danger:
        return DANGER
    return LOOK if share > 0 else OK


def majority(share: float) -> str:
    """The verdict on the larger class's share of a split."""
    if share > MAJORITY_DANGER:
        return DANGER
    return LOOK if share > MAJORITY_LOOK else OK


def auc(value: float, low: float, danger: float) -> str:
    """The verdict on what should not tell fake from real, but may.

    Args:
        value: the ROC AUC.
        low: the lower end of its 95 % interval.
        danger: the AUC that is too much.
    """
    if low <= AUC_LOOK_ABOVE:
        return OK
    return DANGER if value >= danger else LOOK


def worst(verdicts: list[str]) -> str:
    """The most alarming of some verdicts."""
    return max(verdicts, key=(NOT_CHECKED, OK, LOOK, DANGER).index)
