"""Getting pretrained weights into a detector, whole or not at all."""

from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import keras

from dfk.download import UnavailableError
from dfk.errors import UserError
from dfk.models.parts import backbone_layers
from dfk.models.saved import load

Architecture = Callable[[keras.KerasTensor | None, str | None], keras.Model]


def load_by_name(detector: keras.Model, path: Path) -> None:
    """Loads a backbone's weights from a file by the names of its layers.

    Args:
        detector: the model to fill.
        path: a `.keras` detector, or a Keras `.h5` weights or model file. The
            file may hold more layers than the backbone, not fewer.

    Raises:
        UserError: the file is of another kind, or lacks layers.
    """
    if path.suffix == ".keras":
        copy(load(path).layers, detector, str(path))
        return
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
    architecture: Architecture,
) -> Callable[[keras.Model], None]:
    """A loader that copies Keras's own ImageNet weights into a detector.

    Args:
        architecture: builds a Keras Applications model on an input, with the
            weights of a name.

    Returns:
        A function of the detector to fill. It raises `UnavailableError` when
        Keras cannot download the weights.
    """

    def load_imagenet(detector: keras.Model) -> None:
        try:
            source = architecture(None, "imagenet")
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
