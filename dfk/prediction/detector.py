"""A detector in this process, which answers as it would behind a server."""

import functools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import tensorflow as tf

from dfk import __detector_version__, models
from dfk.errors import UserError
from dfk.files import expanded, read_json
from dfk.models import built_in, calibration
from dfk.prediction.exported import (
    DESCRIPTION,
    MANIFEST,
    is_export,
    require_whole,
    scan_versions,
)
from dfk.prediction.inputs import Image
from dfk.prediction.predictions import (
    TEXTS,
    Prediction,
    Score,
    not_a_detector,
    to_scores,
)
from dfk.prediction.predictor import Predictor
from dfk.prediction.signatures import signatures
from dfk.runs import BUILT_IN, require_format

_LOADING = threading.Lock()
# What the signature takes and answers, for any number of images.
_INPUTS = {"image_bytes": tf.string}
_OUTPUTS = {
    "fake_probability": tf.float32,
    "verdict": tf.string,
    "reason": tf.string,
}


class LoadedDetector(Predictor):
    """A detector in this process.

    Args:
        serving_default: the signature of that name.
        name: the detector's name.
        version: of a SavedModel, or of the built-in detector; else None.
        detector: the Keras model, or None of a SavedModel.

    Example:
        >>> detector = load("runs/facenet")
        >>> [prediction] = detector.predict(["face.jpg"])
        >>> prediction.verdict, prediction.fake_probability
        ('fake', 0.93...)
    """

    # What a large network makes of more images does not fit a CPU's caches,
    # and answers come sooner.
    batch_size = 8

    def __init__(
        self,
        serving_default: Callable,
        name: str,
        version: int | None,
        detector: keras.Model | None = None,
    ):
        self.name = name
        self.version = version
        self.detector = detector
        self._serving_default = serving_default

    def _score_batch(self, image_bytes: list[bytes]) -> list[Score]:
        try:
            outputs = self._serving_default(
                image_bytes=tf.constant(image_bytes, tf.string)
            )
        # A detector answers any bytes; the second one is of TensorFlow, about
        # bytes that it cannot show.
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
            raise not_a_detector(self.name) from error
        texts = {
            name: [
                text.decode(errors="replace") for text in outputs[name].numpy()
            ]
            for name in TEXTS
            if name in outputs
        }
        probabilities = outputs["fake_probability"].numpy().tolist()
        return to_scores(
            self.name, len(image_bytes), probabilities, texts, self.version
        )


def load(
    path: str | Path = BUILT_IN, max_false_alarms: float | None = None
) -> LoadedDetector:
    """Loads a detector for predictions.

    A SavedModel runs the code of whoever made it, with the rights of whoever
    loads it, so load none from a source that you do not trust. A `.keras` file
    holds weights and settings, and is loaded in Keras's safe mode.

    Args:
        path: `default`, the built-in detector; or the folder of a run, a
            `.keras` file, a SavedModel's folder, or a folder of its versions,
            of which the highest is taken.
        max_false_alarms: the share of real images, in 0..1, that may be called
            fake at most, as in `dfk.models.calibration.with_false_alarms`; the
            detector's own limit if None. A SavedModel's is fixed.

    Returns:
        The detector, which answers as it would behind a server.

    Raises:
        UserError: there is no detector at that path, one that another format
            of dfk wrote, or an export that is damaged; the weights of the
            built-in one are not available; or false alarms cannot be limited
            so.

    Example:
        >>> load("saved_models/facenet").version
        3
    """
    if str(path) == BUILT_IN:
        return _of_keras(
            built_in.load(),
            BUILT_IN,
            __detector_version__,
            max_false_alarms,
        )
    path = expanded(path)
    exported = _saved_model(path)
    if exported is None:
        detector = models.load(path)
        return _of_keras(detector, detector.name, None, max_false_alarms)
    _require_format(exported)
    if max_false_alarms is not None:
        raise UserError(
            f"{path} is a SavedModel, whose limits are fixed: to limit false "
            "alarms, pass the run, or the model.keras beside the SavedModel."
        )
    # Older exports have none.
    if (exported / MANIFEST).is_file():
        require_whole(exported, graph_only=True)
    try:
        module = tf.saved_model.load(str(exported))
        signature = module.signatures["serving_default"]
    except (OSError, ValueError, LookupError, tf.errors.OpError) as error:
        raise _foreign(exported) from error
    _, inputs = signature.structured_input_signature
    outputs = signature.structured_outputs
    if _columns(inputs) != _INPUTS or not (
        _OUTPUTS.items() <= _columns(outputs).items()
    ):
        raise _foreign(exported)
    # Kept, since a signature's weights live as long as its module.
    signature.module = module
    exported = exported.resolve()
    number = int(exported.name) if exported.name.isdigit() else None
    return LoadedDetector(signature, exported.parent.name, number)


def _of_keras(
    detector: keras.Model,
    name: str,
    version: int | None,
    max_false_alarms: float | None,
) -> LoadedDetector:
    if max_false_alarms is not None:
        layer = models.score_layer(detector)
        layer.calibration = calibration.with_false_alarms(
            layer.calibration, max_false_alarms
        )
    signature = signatures(detector)["serving_default"]
    return LoadedDetector(signature, name, version, detector)


@functools.cache
def _loaded_default() -> LoadedDetector:
    return load()


def detect(
    images: Image | Iterable[Image], crop: str = "auto"
) -> list[Prediction]:
    """Says of images whether they are real or fake, by the built-in detector.

    It is loaded at the first call.

    Args:
        images: as for `LoadedDetector.predict`.
        crop: as for `LoadedDetector.predict`.

    Returns:
        One prediction an image, in the order given.

    Raises:
        UserError: something is no image, or the detector's weights are not
            available.

    Example:
        >>> [prediction] = dfk.detect("photo.jpg")
        >>> prediction.verdict
        'fake'
    """
    with _LOADING:
        detector = _loaded_default()
    return detector.predict(images, crop)


def _saved_model(path: Path) -> Path | None:
    """The SavedModel at a path, or its highest version, or None."""
    if is_export(path):
        return path
    found = scan_versions(path) if path.is_dir() else {}
    for number in sorted(found, reverse=True):
        if is_export(found[number]):
            return found[number]
    return None


def _require_format(exported: Path) -> None:
    description = {}
    if (exported / DESCRIPTION).is_file():
        remedy = "export the run again with `python -m dfk.export`"
        description = read_json(exported / DESCRIPTION, [], remedy)
    # The first format had no description, but a card beside its graph.
    elif not (exported / "MODEL_CARD.md").is_file():
        raise _foreign(exported)
    require_format(exported, description)


def _columns(specs: dict[str, tf.TensorSpec]) -> dict[str, tf.DType]:
    """The types of the tensors that have a row an image, by name."""
    return {
        name: spec.dtype
        for name, spec in specs.items()
        if spec.shape.rank == 1 and spec.shape[0] is None
    }


def _foreign(exported: Path) -> UserError:
    return UserError(
        f"{exported} is not a SavedModel that dfk exported: pass one that "
        "`python -m dfk.export RUN` wrote."
    )
