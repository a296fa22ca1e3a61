"""What a detector says of images, as callers get it, and in which forms."""

import dataclasses
import json
from typing import Any

from dfk.errors import UserError

UNREADABLE = "unreadable"
# Outputs beside the probability.
TEXTS = ("verdict", "reason", "family")
# The forms in which commands print it.
TABLE, JSON, CSV = "table", "json", "csv"


@dataclasses.dataclass(frozen=True)
class Score:
    """What a detector says of one encoded image.

    Args:
        fake_probability: 0..1, NaN if the image is unreadable.
        verdict: `real`, `fake`, `uncertain` or `unreadable`.
        reason: why it is neither `real` nor `fake`, or empty.
        family: the family of fakes that a fake resembles, or empty.
        version: the version that said so, if the detector has any.
    """

    fake_probability: float
    verdict: str
    reason: str
    family: str = ""
    version: int | None = None


def to_scores(
    model: str,
    count: int,
    probabilities: list[float],
    texts: dict[str, list[str]],
    version: int | None,
) -> list[Score]:
    """Puts the outputs of a model together, which may be anyone's.

    Args:
        model: what answered, for the message.
        count: how many images it was asked about.
        probabilities: its `fake_probability`.
        texts: its `verdict`, `reason` and `family`; exports from before
            families were named lack the last.
        version: which version of it answered, if it has any.

    Returns:
        As many scores.

    Raises:
        UserError: there are more or fewer, or none at all.
    """
    texts = {"family": [""] * count} | texts
    columns = [probabilities, *(texts.get(name, []) for name in TEXTS)]
    if {len(column) for column in columns} != {count}:
        raise not_a_detector(model)
    return [Score(*row, version) for row in zip(*columns, strict=True)]


def not_a_detector(model: str) -> UserError:
    """The error of a model that someone else made."""
    return UserError(
        f"{model} does not answer as a detector of dfk does, with "
        "fake_probability, verdict and reason of each picture: pass one that "
        "`python -m dfk.export` wrote."
    )


@dataclasses.dataclass(frozen=True)
class FacePrediction:
    """What a detector says of one face in an image.

    Args:
        box: `(x, y, width, height)` in pixels of the image.
        confidence: MTCNN's probability that it is a face, 0..1.
        fake_probability: 0..1, or None where there is none.
        verdict: `real`, `fake`, `uncertain` or `unreadable`.
        reason: why the verdict is neither `real` nor `fake`, or None.
    """

    box: tuple[int, int, int, int]
    confidence: float
    fake_probability: float | None
    verdict: str
    reason: str | None


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a detector says of one image.

    Args:
        image: the image's path as it was given, or None of bytes.
        verdict: `real`, `fake`, `uncertain` or `unreadable`.
        fake_probability: 0..1, or None where there is none. Of faces, the
            verdict, the probability and the reason are those of the face with
            the highest probability.
        reason: why the verdict is `uncertain`, or None.
        family: the family of fakes that a fake resembles, which proves
            nothing; None where that is unclear.
        faces: the faces, the most certain one first; empty if the image was
            taken whole, or none was found.
        detector: the detector's name.
        version: its version, if it has one: of the built-in detector, or of a
            served one.
        note: what was changed to read the image, such as `read from HEIC` or
            `the first of 12 frames`; None if nothing was.
        error: why there is no probability, or None.

    Example:
        >>> print(prediction.to_json())
        {"image": "a.jpg", "verdict": "fake", "fake_probability": 0.93...}
    """

    image: str | None
    verdict: str | None
    fake_probability: float | None
    reason: str | None
    family: str | None
    faces: tuple[FacePrediction, ...]
    detector: str
    version: int | None
    note: str | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields by name; `note` and `error` only where there is one."""
        fields = dataclasses.asdict(self)
        fields["faces"] = [
            face | {"box": list(face["box"])} for face in fields["faces"]
        ]
        for name in ("note", "error"):
            if fields[name] is None:
                del fields[name]
        return fields

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)
