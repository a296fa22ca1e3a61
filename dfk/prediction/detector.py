"""The same answers without a server."""

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from dfk import models
from dfk.errors import UserError
from dfk.prediction import versions
from dfk.prediction.predictions import BATCH, Answer
from dfk.prediction.signatures import signatures


class LoadedDetector:
    """A detector in this process.

    Args:
        serving_default: the signature of that name.
        model: the detector's name.
        version: the version of a SavedModel, else None.
        detector: the Keras model, which a SavedModel is not.

    Example:
        >>> load("runs/facenet").predict([open("face.jpg", "rb").read()])
        [Answer(fake_probability=0.93, verdict='fake', reason='')]
    """

    def __init__(
        self,
        serving_default: Callable,
        model: str,
        version: int | None,
        detector: keras.Model | None = None,
    ):
        self.model = model
        self.version = version
        self.detector = detector
        self._serving_default = serving_default

    def predict(self, image_bytes: list[bytes]) -> list[Answer]:
        """Scores encoded images.

        Args:
            image_bytes: N encoded images; what is none is answered
                `unreadable`.

        Returns:
            N answers.
        """
        answers = []
        for start in range(0, len(image_bytes), BATCH):
            batch = tf.constant(image_bytes[start : start + BATCH], tf.string)
            answer = self._serving_default(image_bytes=batch)
            scores = answer["fake_probability"].numpy().tolist()
            words, reasons = (
                [word.decode() for word in answer[name].numpy()]
                for name in ("verdict", "reason")
            )
            answers += map(Answer, scores, words, reasons)
        return answers


def load(path: str | Path) -> LoadedDetector:
    """Loads a detector for scoring.

    Args:
        path: the folder of a run, a `.keras` file, a SavedModel's folder, or
            a folder of its versions, of which the highest is taken.

    Returns:
        The detector, which answers as it would behind a server.

    Raises:
        UserError: there is no detector at that path.

    Example:
        >>> load("saved_models/facenet").version
        3
    """
    path = Path(path).expanduser()
    exported = _saved_model(path)
    if exported is None:
        detector = models.load(path)
        answer = signatures(detector)["serving_default"]
        return LoadedDetector(answer, detector.name, None, detector)
    try:
        module = tf.saved_model.load(str(exported))
        answer = module.signatures["serving_default"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(
            f"{exported} is not a SavedModel that dfk exported: pass one that "
            "`python -m dfk.export RUN` wrote."
        ) from error
    # Kept, since a signature's weights live as long as its module.
    answer.module = module
    exported = exported.resolve()
    number = int(exported.name) if exported.name.isdigit() else None
    return LoadedDetector(answer, exported.parent.name, number)


def _saved_model(path: Path) -> Path | None:
    """The SavedModel at a path, or its highest version, or None."""
    if (path / "saved_model.pb").is_file():
        return path
    found = versions.scan(path) if path.is_dir() else {}
    for number in sorted(found, reverse=True):
        if (found[number] / "saved_model.pb").is_file():
            return found[number]
    return None
