"""One version of one model, loaded, as TensorFlow Serving loads it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from dfk.serving.status import ServingError, from_number, invalid, not_found

SignatureDef = meta_graph_pb2.SignatureDef
_NO_SAVED_MODEL = (
    "Specified file path does not appear to contain a SavedModel bundle "
    "(should have a file called `saved_model.pb`)\nSpecified file path: {path}"
)


class Servable:
    """A SavedModel in a session of its own.

    A session, not `tf.saved_model.load`, because it is what the model server
    has: signatures are tensor names, and only the outputs asked for are
    computed. It is freed with the last request that refers to it.

    Args:
        name: the model's name.
        version: its version.
        path: the folder with `saved_model.pb`.

    Raises:
        ServingError: there is no SavedModel, or none that can be read.

    Example:
        >>> servable = Servable("cnn", 1, Path("saved_models/cnn/1"))
        >>> sorted(servable.signatures)
        ['__saved_model_init_op', 'classify', 'embed', 'images', ...]
    """

    def __init__(self, name: str, version: int, path: Path):
        self.name = name
        self.version = version
        self.path = path
        if not (path / "saved_model.pb").is_file():
            raise not_found(_NO_SAVED_MODEL.format(path=path))
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(
                    self._session, ["serve"], str(path)
                )
        except tf.errors.OpError as error:
            raise _from_tensorflow(error) from error
        except (OSError, RuntimeError, ValueError) as error:
            reason = f"Can't parse {path}/saved_model.pb as binary proto"
            raise from_number(15, f"{reason}: {error}") from error
        self.signatures = dict(meta_graph.signature_def)

    def run(
        self,
        signature: SignatureDef,
        inputs: dict[str, np.ndarray],
        outputs: Iterable[str],
    ) -> dict[str, np.ndarray]:
        """Computes some outputs of a signature.

        Args:
            signature: one of `signatures`.
            inputs: an array for each of its inputs, by name.
            outputs: the names of the outputs to compute.

        Returns:
            Arrays by output name.

        Raises:
            ServingError: the graph refuses the inputs.
        """
        feeds = {}
        for name, value in inputs.items():
            info = signature.inputs[name]
            _check_type(value, info.dtype)
            feeds[info.name] = value
        fetches = {name: signature.outputs[name].name for name in outputs}
        try:
            return self._session.run(fetches, feeds)
        except tf.errors.OpError as error:
            raise _from_tensorflow(error) from error
        except ValueError as error:
            # The session's own check of shapes against the placeholders.
            raise invalid(str(error)) from error


def _check_type(value: np.ndarray, wanted: int) -> None:
    """Refuses what a Python session would quietly convert."""
    expected, got = tf.as_dtype(wanted), tf.as_dtype(value.dtype)
    if expected != got:
        raise invalid(
            f"Expects arg[0] to be {expected.name} but {got.name} is provided"
        )


def _from_tensorflow(error: tf.errors.OpError) -> ServingError:
    return from_number(error.error_code, error.message)
