"""Reading files: a trained detector, or pretrained weights for a new one."""

import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import keras

from dfk.download import UnavailableError
from dfk.errors import UserError
from dfk.files import expanded
from dfk.models.named_layers import REQUIRED, backbone_layers
from dfk.runs import refuse_repeats, require_format

_UNREADABLE = (
    *(OSError, zipfile.BadZipFile, NotImplementedError),
    *(ValueError, TypeError, KeyError),
)


def load(path: str | Path) -> keras.Model:
    """Loads a detector from a run's folder or a `.keras` file.

    Args:
        path: what `dfk.train` or `dfk.export` wrote.

    Returns:
        The detector, with its calibration.

    Raises:
        UserError: there is no detector at that path, or one of another
            format.

    Example:
        >>> detector = load("runs/facenet")
        >>> detector(tf.zeros([1, 128, 128, 3])).shape
        TensorShape([1, 1])
    """
    refuse_repeats(path)
    path = expanded(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"No detector at {path}: pass the folder of a finished run, or a "
            ".keras file."
        )
    try:
        _require_format(file)
        detector = keras.models.load_model(file)
        for name in REQUIRED:
            detector.get_layer(name)
        return detector
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{file} is not a detector that dfk wrote ({reason}): pass the "
            "folder of a run, or a .keras file from one."
        ) from error


def _require_format(file: Path) -> None:
    """Refuses a detector of another format, before its layers are looked up.

    The format is a number in the layer that scores; format 1 had none. A model
    without such a layer is refused later, by what it lacks.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError("it is no .keras file, or not all of one")
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
    formats = [
        layer["config"].get("format", 1)
        for layer in config["config"].get("layers", [])
        if layer.get("registered_name") == "dfk>CalibratedScore"
    ]
    if formats:
        require_format(file, {"format": formats[0]})


def load_by_name(detector: keras.Model, path: Path) -> None:
    """Loads a backbone's weights from a file by the names of its layers.

    Args:
        detector: the model to fill.
        path: a Keras `.h5` weights or model file, which may hold more layers
            than the backbone, not fewer.

    Raises:
        UserError: the file is of another kind, or lacks layers.
    """
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            held = {
                name
                for name, group in root.items()
                if isinstance(group, h5py.Group) and len(group)
            }
        _require(detector, held, str(path))
        detector.load_weights(path, by_name=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} holds no weights for {detector.name} ({error}): pass a "
            ".keras file of dfk, or a Keras .h5 file of that architecture."
        ) from error


def copy(
    source: Iterable[keras.layers.Layer], detector: keras.Model, origin: str
) -> None:
    """Copies weights between layers of the same name.

    Args:
        source: layers that hold the weights.
        detector: the model whose backbone is filled.
        origin: where the weights came from, for the error's text.

    Raises:
        UserError: a layer of the backbone has no counterpart, or one of
            another shape.
    """
    by_name = {layer.name: layer for layer in source if layer.weights}
    _require(detector, by_name.keys(), origin)
    for layer in backbone_layers(detector):
        try:
            layer.set_weights(by_name[layer.name].get_weights())
        except ValueError as error:
            raise UserError(
                f"{origin} does not fit {detector.name}: {error}"
            ) from error


def imagenet_loader(
    architecture: Callable[..., keras.Model],
) -> Callable[[keras.Model], None]:
    """A loader that copies Keras's own ImageNet weights into a detector.

    Args:
        architecture: a function of `keras.applications`.

    Returns:
        A function of the detector to fill. It raises `UnavailableError` when
        Keras cannot download the weights.
    """

    def load_imagenet(detector: keras.Model) -> None:
        try:
            source = architecture(include_top=False, weights="imagenet")
        # Keras reports a failed download as a bare Exception.
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise UnavailableError(
                f"Keras could not download them ({reason})."
            ) from error
        copy(source.layers, detector, "Keras's ImageNet model")

    return load_imagenet


def _require(detector: keras.Model, held: Iterable[str], origin: str) -> None:
    missing = {layer.name for layer in backbone_layers(detector)} - set(held)
    if missing:
        raise UserError(
            f"{origin} does not fit {detector.name}: it lacks "
            f"{len(missing)} of its layers, {min(missing)!r} among them."
        )
