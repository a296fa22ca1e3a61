"""From images to predictions: the part that every detector shares.

A detector in this process and one behind a server differ only in how encoded
images get their scores. Reading files, finding faces and putting the scores
together happen here, once.
"""

import abc
import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dfk.errors import UserError

if TYPE_CHECKING:
    from dfk.images.faces import Face

UNREADABLE = "unreadable"
# So many images are read into memory and sent as one request.
BATCH = 32
# And so many bytes of images. The largest image that is decoded at all has
# 64 million pixels, with 16 bits and alpha 512 MiB if nothing is compressed.
LARGEST = 1 << 29

# Outputs beside the probability.
TEXTS = ("verdict", "reason", "family")

Image = str | Path | bytes
_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True)
class Score:
    """What a detector says of one encoded image.

    Args:
        fake_probability: 0..1, NaN if the image is unreadable.
        verdict: `real`, `fake`, `uncertain` or `unreadable`.
        reason: why it is neither `real` nor `fake`, or empty.
        family: the family of fakes that a fake resembles, or empty.
    """

    fake_probability: float
    verdict: str
    reason: str
    family: str = ""


def to_scores(
    model: str,
    count: int,
    probabilities: list[float],
    texts: dict[str, list[str]],
) -> list[Score]:
    """Puts the outputs of a model together, which may be anyone's.

    Args:
        model: what answered, for the message.
        count: how many images it was asked about.
        probabilities: its `fake_probability`.
        texts: its `verdict`, `reason` and `family`; exports from before
            families were named lack the last.

    Returns:
        As many scores.

    Raises:
        UserError: there are more or fewer, or none at all.
    """
    texts = {"family": [""] * count} | texts
    columns = [probabilities, *(texts.get(name, []) for name in TEXTS)]
    if {len(column) for column in columns} != {count}:
        raise not_a_detector(model)
    return list(map(Score, *columns))


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
        verdict: `real`, `fake`, `uncertain` or `unreadable`; None where faces
            were asked for and none was found.
        fake_probability: 0..1, or None where there is none. Of faces, the
            verdict, the probability and the reason are those of the face with
            the highest probability.
        reason: why the verdict is `uncertain`, or None.
        family: the family of fakes that a fake resembles, which proves
            nothing; None where that is unclear.
        faces: the faces, the most certain one first; empty if the image was
            taken whole.
        detector: the detector's name.
        version: its served version, or None.
        error: why there is no probability, or None.

    Example:
        >>> print(prediction.to_json())
        {"image": "a.jpg", "verdict": "fake", "fake_probability": 0.93, ...}
    """

    image: str | None
    verdict: str | None
    fake_probability: float | None
    reason: str | None
    family: str | None
    faces: tuple[FacePrediction, ...]
    detector: str
    version: int | None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields by name; `error` is there only where there is one."""
        fields = dataclasses.asdict(self)
        fields["faces"] = [
            face | {"box": list(face["box"])} for face in fields["faces"]
        ]
        if self.error is None:
            del fields["error"]
        return fields

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


class Predictor(abc.ABC):
    """A detector, wherever it runs.

    Attributes:
        name: its name.
        version: the version that answered last; None if it has none.
    """

    name: str
    version: int | None = None

    @abc.abstractmethod
    def _score_batch(self, image_bytes: list[bytes]) -> list[Score]:
        """Scores what fits into one request."""

    def score(self, image_bytes: Sequence[bytes]) -> list[Score]:
        """Scores encoded images, each of them as a whole.

        Args:
            image_bytes: N encoded images; anything else is `unreadable`.

        Returns:
            N scores.

        Raises:
            UserError: the detector cannot be asked.

        Example:
            >>> detector.score([Path("face.jpg").read_bytes()])
            [Score(fake_probability=0.93, verdict='fake', reason='')]
        """
        return [
            score
            for batch in _batches(image_bytes, lambda encoded: [encoded])
            for score in self._score_batch(batch)
        ]

    def predict(
        self, images: Iterable[Image], faces: bool = False
    ) -> list[Prediction]:
        """Says of images whether they are real or fake.

        An image that cannot be read gets a prediction with an error; the
        others are answered all the same.

        Args:
            images: paths of image files, or encoded images, or both.
            faces: find the faces and predict each of them, instead of the
                image as a whole.

        Returns:
            One prediction an image, in the order given.

        Raises:
            UserError: the detector cannot be asked, or `images` is a single
                image.

        Example:
            >>> [prediction] = detector.predict(["face.jpg"])
            >>> prediction.verdict
            'fake'
        """
        return list(self.stream(images, faces))

    def stream(
        self, images: Iterable[Image], faces: bool = False
    ) -> Iterator[Prediction]:
        """Gives the predictions of `predict` as soon as each is there."""
        if isinstance(images, Image):
            raise UserError(
                "Images are passed as a list, also a single one. Received: "
                f"{type(images).__name__}."
            )
        read = (_read(image, faces) for image in images)
        for batch in _batches(read, lambda image: image.encoded):
            scores = iter(self.score([e for i in batch for e in i.encoded]))
            for image in batch:
                of_image = list(itertools.islice(scores, len(image.encoded)))
                yield _prediction(image, of_image, self)


def _batches(
    items: Iterable[_Item], encoded: Callable[[_Item], list[bytes]]
) -> Iterator[list[_Item]]:
    """Divides items by the number and the bytes of their encoded images."""
    batch, count, total = [], 0, 0
    for item in items:
        images = encoded(item)
        # An image that could not be read counts as well: its error must not
        # wait for all that come after it.
        number, size = max(1, len(images)), sum(map(len, images))
        if batch and (count + number > BATCH or total + size > LARGEST):
            yield batch
            batch, count, total = [], 0, 0
        batch.append(item)
        count, total = count + number, total + size
    if batch:
        yield batch


@dataclasses.dataclass(frozen=True)
class _ReadImage:
    """An image that was read: what is to be scored, or why nothing is."""

    image: str | None
    encoded: list[bytes]
    faces: "tuple[Face, ...]" = ()
    verdict: str | None = None
    error: str | None = None


def _read(image: Image, faces: bool) -> _ReadImage:
    name = None if isinstance(image, bytes) else str(image)
    try:
        size = len(image) if name is None else Path(image).stat().st_size
        if size > LARGEST:
            reason = f"is too large: it has more than {LARGEST >> 20} MiB"
            return _ReadImage(name, [], verdict=UNREADABLE, error=reason)
        data = image if name is None else Path(image).read_bytes()
    except OSError as error:
        reason = f"cannot be opened: {error.strerror or error}"
        return _ReadImage(name, [], verdict=UNREADABLE, error=reason)
    return _crop_faces(name, data) if faces else _ReadImage(name, [data])


def _crop_faces(name: str | None, data: bytes) -> _ReadImage:
    import tensorflow as tf

    from dfk.images.faces import face_crops

    try:
        found = face_crops(data)
    except tf.errors.InvalidArgumentError:
        # The detector reports these bytes as unreadable.
        return _ReadImage(name, [data])
    if not found:
        reason = "no face found: leave out --faces to predict all of it"
        return _ReadImage(name, [], error=reason)
    faces, crops = zip(*found, strict=True)
    return _ReadImage(name, list(crops), faces)


def _prediction(
    image: _ReadImage, scores: list[Score], detector: Predictor
) -> Prediction:
    verdict, error = image.verdict, image.error
    probability = reason = family = None
    if scores:
        # NaN compares as false, and would hide what comes after it.
        worst = max(scores, key=lambda s: _number(s.fake_probability, -1.0))
        verdict = worst.verdict
        probability = _number(worst.fake_probability)
        reason, family = worst.reason or None, worst.family or None
        if probability is None:
            reason, error = None, worst.reason
    return Prediction(
        image=image.image,
        verdict=verdict,
        fake_probability=probability,
        reason=reason,
        family=family,
        faces=tuple(
            FacePrediction(
                box=face.box,
                confidence=face.confidence,
                fake_probability=_number(score.fake_probability),
                verdict=score.verdict,
                reason=score.reason or None,
            )
            for face, score in zip(image.faces, scores, strict=False)
        ),
        detector=detector.name,
        version=detector.version,
        error=error,
    )


def _number(value: float, otherwise: float | None = None) -> float | None:
    """A number that JSON can hold, or something else in place of NaN."""
    return otherwise if math.isnan(value) else value
