"""ImageNet weights of Keras Applications."""

from collections.abc import Callable

import keras

from dfk.download import UnavailableError
from dfk.models import weights as weights_lib

Architecture = Callable[[keras.KerasTensor | None, str | None], keras.Model]


def imagenet_loader(architecture: Architecture) -> Callable:
    """A loader that copies Keras's own ImageNet weights into a detector.

    Args:
        architecture: builds the Keras Applications model on an input, with
            the weights of a name.

    Returns:
        A function of the detector to fill, which raises `UnavailableError` when
        Keras cannot download the weights.
    """

    def load(detector: keras.Model) -> None:
        try:
            source = architecture(None, "imagenet")
        # Keras reports a failed download as a bare Exception.
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise UnavailableError(
                f"Keras could not download them ({reason})."
            ) from error
        weights_lib.copy(source.layers, detector, "Keras's ImageNet model")

    return load
