"""From images to predictions: the part that every detector shares.

A detector in this process and one behind a server differ only in how encoded
images get their scores. Reading files, finding faces and putting the scores
together happen here, once.
"""

import abc
import collections
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import TypeVar

from dfk.errors import UserError
from dfk.prediction.crops import CROPS, Cropped, crop
from dfk.prediction.inputs import LARGEST, Image, each
from dfk.prediction.predictions import FacePrediction, Prediction, Score

# So many images are read into memory and scored at once.
BATCH = 32
# So many images are read, and their faces found, at once; and so many beyond
# those that are scored.
_THREADS = min(4, os.cpu_count() or 1)
AHEAD = 2 * _THREADS

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Predictor(abc.ABC):
    """A detector, wherever it runs.

    Attributes:
        name: its name.
        version: its version; None if it has none, or if a server chooses one.
        batch_size: so many images are scored at once.
        batch_bytes: so many bytes, but for a single image.
        concurrency: so many batches are scored at the same time.
    """

    name: str
    version: int | None = None
    batch_size = BATCH
    batch_bytes = LARGEST
    concurrency = 1

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
            [Score(fake_probability=0.93..., verdict='fake', reason='', ...)]
        """
        batches = self._batches(image_bytes, lambda encoded: [encoded])
        scores = self._map(self._score_batch, batches)
        return list(itertools.chain.from_iterable(scores))

    def predict(
        self, images: Image | Iterable[Image], crop: str = "auto"
    ) -> list[Prediction]:
        """Says of images whether they are real or fake.

        An image that cannot be read gets a prediction with an error; the
        others are answered all the same.

        Args:
            images: one image or many: paths, encoded images, open files,
                images of Pillow, or RGB pixels in 0..255, `[H, W, 3]` or
                `[N, H, W, 3]`. Pixels that another library decoded from a
                JPEG may get a slightly different score than the file.
            crop: what of an image is predicted: each `face` in it; all of it,
                `none`; or `auto`, its faces, but all of an image that is the
                crop of a face already. Except with `none`, that is stored as
                `dfk.images.faces.stored_jpeg` does first.

        Returns:
            One prediction an image, in the order given.

        Raises:
            UserError: the detector cannot be asked, or something is no image.

        Example:
            >>> [prediction] = detector.predict("photo.jpg")
            >>> prediction.verdict
            'fake'
        """
        return list(self.stream(images, crop))

    def stream(
        self, images: Image | Iterable[Image], crop: str = "auto"
    ) -> Iterator[Prediction]:
        """Gives the predictions of `predict` as soon as each is there."""
        if crop not in CROPS:
            raise UserError(
                f"crop is one of {', '.join(CROPS)}. Received: {crop!r}."
            )
        return self._stream(each(images), crop)

    def _stream(
        self, images: Iterator[Image], how: str
    ) -> Iterator[Prediction]:
        cropped = _ahead(
            lambda image: crop(image, how), images, _THREADS, AHEAD
        )
        batches = self._batches(cropped, lambda image: image.encoded)
        return itertools.chain.from_iterable(self._map(self._predict, batches))

    def _predict(self, batch: list[Cropped]) -> list[Prediction]:
        encoded = [each for image in batch for each in image.encoded]
        # The faces of one image may be more than a batch has.
        requests = self._batches(encoded, lambda each: [each])
        scores = itertools.chain.from_iterable(map(self._score_batch, requests))
        return [
            _prediction(
                image, list(itertools.islice(scores, len(image.encoded))), self
            )
            for image in batch
        ]

    def _map(
        self, function: Callable[[_Item], _Result], batches: Iterable[_Item]
    ) -> Iterator[_Result]:
        if self.concurrency == 1:
            return map(function, batches)
        return _ahead(function, batches, self.concurrency, self.concurrency)

    def _batches(
        self,
        items: Iterable[_Item],
        encoded: Callable[[_Item], list[bytes]],
    ) -> Iterator[list[_Item]]:
        """Divides items by the number and the bytes of their images."""
        batch, count, total = [], 0, 0
        for item in items:
            images = encoded(item)
            # An image that could not be read counts as well: its error must
            # not wait for all that come after it.
            number, size = max(1, len(images)), sum(map(len, images))
            if batch and (
                count + number > self.batch_size
                or total + size > self.batch_bytes
            ):
                yield batch
                batch, count, total = [], 0, 0
            batch.append(item)
            count, total = count + number, total + size
        if batch:
            yield batch


def _ahead(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    threads: int,
    ahead: int,
) -> Iterator[_Result]:
    """Maps in threads, in order, with `ahead` items under way."""
    pool = futures.ThreadPoolExecutor(threads)
    pending: collections.deque[futures.Future[_Result]] = collections.deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead or pending[0].done():
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # Whoever was interrupted does not wait for an answer.
        pool.shutdown(wait=False, cancel_futures=True)


def _prediction(
    image: Cropped, scores: list[Score], detector: Predictor
) -> Prediction:
    verdict, reason, error = image.verdict, image.reason, image.error
    probability = family = None
    if scores:
        # NaN compares as false, and would hide what comes after it.
        worst = max(scores, key=lambda s: _number(s.fake_probability, -1.0))
        verdict = worst.verdict
        probability = _number(worst.fake_probability)
        reason, family = worst.reason or None, worst.family or None
        if probability is None:
            reason, error = None, worst.reason
    return Prediction(
        image=image.name,
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
        version=scores[0].version if scores else detector.version,
        note=image.note,
        error=error,
    )


def _number(value: float, otherwise: float | None = None) -> float | None:
    """A number that JSON can hold, or something else in place of NaN."""
    return otherwise if math.isnan(value) else value
