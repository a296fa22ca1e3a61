"""The answer about one face, as JSON and as a row of a table."""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

UNREADABLE = "unreadable"
# So many images are read into memory and sent as one request.
BATCH = 32
# And so many bytes of images. The largest image that is decoded at all has
# 64 million pixels, with 16 bits and alpha 512 MiB if nothing is compressed.
LARGEST = 1 << 29


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a detector says of one image.

    Args:
        fake_probability: 0..1, NaN if the image is unreadable.
        verdict: `real`, `fake`, `uncertain` or `unreadable`.
        reason: why it is neither `real` nor `fake`, or empty.
    """

    fake_probability: float
    verdict: str
    reason: str


class Scorer(Protocol):
    """A detector, wherever it runs.

    Attributes:
        model: its name.
        version: the version that answered last; None if it has none.
    """

    model: str
    version: int | None

    def predict(self, image_bytes: list[bytes]) -> list[Answer]:
        """Scores encoded images."""


@dataclasses.dataclass(frozen=True)
class Record:
    """The answer about one face of one image.

    Args:
        image: the image's path, as it was given.
        face: `{"box": [x, y, width, height], "confidence": c}` in pixels of
            the image, or None if the image was judged as a whole.
        fake_probability: 0..1, or None where there is none.
        verdict: a word, or None where no face was found.
        model: the detector's name.
        version: its served version, or None.
        reason: why the verdict is `uncertain`, or None.
        error: why there is no probability, or None.

    Example:
        >>> print(record.to_json())
        {"image": "a.jpg", "face": null, "fake_probability": 0.93, ...}
    """

    image: str
    face: dict[str, Any] | None
    fake_probability: float | None
    verdict: str | None
    model: str
    version: int | None
    reason: str | None = None
    error: str | None = None

    def to_json(self) -> str:
        """One line; `reason` and `error` are in it only where they are."""
        fields = dataclasses.asdict(self)
        for name in ("reason", "error"):
            if fields[name] is None:
                del fields[name]
        return json.dumps(fields, allow_nan=False)


@dataclasses.dataclass
class _Item:
    """An image, or a face of one, on its way to an answer."""

    image: str
    data: bytes = b""
    face: dict[str, Any] | None = None
    verdict: str | None = None
    error: str | None = None


def ask(
    scorer: Scorer, images: Sequence[str], faces: bool = False
) -> Iterator[Record]:
    """Asks a detector about image files.

    An image that cannot be read gets a record with an error; the others are
    answered all the same.

    Args:
        scorer: the detector.
        images: paths of images.
        faces: whether to find the faces and ask about each of them, instead
            of the image as a whole.

    Yields:
        A record for each image, or for each face, in the order given.

    Raises:
        UserError: the detector cannot be asked.
    """
    found = (item for image in images for item in _items(image, faces))
    for items in _batches(found):
        sent = [item for item in items if item.error is None]
        answers = iter(scorer.predict([item.data for item in sent]))
        for item in items:
            answer = None if item.error else next(answers)
            yield _record(item, answer, scorer)


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Cuts by the number of images and of their bytes."""
    batch, total = [], 0
    for item in items:
        size = len(item.data)
        if batch and (len(batch) == BATCH or total + size > LARGEST):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch


def _size(image: str) -> int:
    try:
        return Path(image).stat().st_size
    except OSError:
        # Whoever opens it says so.
        return 0


def _items(image: str, faces: bool) -> Iterable[_Item]:
    if _size(image) > LARGEST:
        reason = f"is too large: it has more than {LARGEST >> 20} MiB"
        return [_Item(image, verdict=UNREADABLE, error=reason)]
    try:
        data = Path(image).read_bytes()
    except OSError as error:
        reason = f"cannot be opened: {error.strerror or error}"
        return [_Item(image, verdict=UNREADABLE, error=reason)]
    return _faces(image, data) if faces else [_Item(image, data)]


def _faces(image: str, data: bytes) -> Iterable[_Item]:
    import tensorflow as tf

    from dfk.images.faces import face_crops

    try:
        crops = face_crops(data)
    except tf.errors.InvalidArgumentError:
        # The detector says what it thinks of these bytes.
        return [_Item(image, data)]
    if not crops:
        reason = "no face found: leave out --faces to ask about all of it"
        return [_Item(image, error=reason)]
    return [
        _Item(
            image,
            crop,
            {"box": list(face.box), "confidence": face.confidence},
        )
        for face, crop in crops
    ]


def _record(item: _Item, answer: Answer | None, scorer: Scorer) -> Record:
    about = {"model": scorer.model, "version": scorer.version}
    if answer is None:
        return Record(
            item.image, item.face, None, item.verdict, **about, error=item.error
        )
    if math.isnan(answer.fake_probability):
        return Record(
            item.image,
            item.face,
            None,
            answer.verdict,
            **about,
            error=answer.reason,
        )
    return Record(
        item.image,
        item.face,
        answer.fake_probability,
        answer.verdict,
        **about,
        reason=answer.reason or None,
    )
