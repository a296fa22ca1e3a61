"""One version of one model, loaded, and its answers to requests."""

from collections.abc import Iterable
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from dfk.serving.failures import CODES
from dfk.serving.protobufs import (
    classification_pb2,
    get_model_metadata_pb2,
    model_pb2,
    predict_pb2,
    tensor_pb2,
)

SignatureDef = meta_graph_pb2.SignatureDef
_DEFAULT_SIGNATURE = "serving_default"
# The model server sends values one by one, not as packed bytes.
_VALUE_FIELDS = {tf.float32: "float_val", tf.string: "string_val"}


class ServingError(Exception):
    """A request, or a version, that a model server refuses.

    Args:
        code: the gRPC status of the answer.
        message: the reason in one sentence.

    Example:
        >>> raise invalid("The request has no model_spec.")
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    """An INVALID_ARGUMENT error."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """A NOT_FOUND error."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def from_tensorflow(error: tf.errors.OpError) -> ServingError:
    """TensorFlow's error as gRPC's."""
    return ServingError(CODES[error.error_code], error.message)


class Servable:
    """A SavedModel in a session of its own.

    A session, not `tf.saved_model.load`, because that is what the model
    server has: signatures are names of tensors, and only the requested
    outputs are computed. It is freed with the last request that refers to it.

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
            raise not_found(f"{path} holds no saved_model.pb.")
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(
                    self._session, ["serve"], str(path)
                )
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from error
        except (OSError, RuntimeError, ValueError) as error:
            raise ServingError(
                grpc.StatusCode.DATA_LOSS,
                f"{path}/saved_model.pb cannot be read: {error}",
            ) from error
        self.signatures = dict(meta_graph.signature_def)

    def predict(
        self,
        request: predict_pb2.PredictRequest,
        max_batch_size: int | None = None,
    ) -> predict_pb2.PredictResponse:
        """Answers a Predict request.

        Args:
            request: a request whose `ModelSpec` picked this version.
            max_batch_size: the most rows of an input; None for any number.

        Returns:
            The outputs that `output_filter` names, or all of them.

        Raises:
            ServingError: FAILED_PRECONDITION if there is no such signature,
                INVALID_ARGUMENT if the inputs or outputs are not its own.
        """
        name = request.model_spec.signature_name or _DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{self.name} has no signature {name!r}.",
            )
        signature = self.signatures[name]
        if set(request.inputs) != set(signature.inputs):
            raise invalid(
                f"The signature {name!r} takes {sorted(signature.inputs)}. "
                f"Received: {sorted(request.inputs)}."
            )
        outputs = list(request.output_filter) or list(signature.outputs)
        unknown = set(outputs) - set(signature.outputs)
        if unknown or len(set(outputs)) < len(outputs):
            raise invalid(
                f"output_filter may name each of {sorted(signature.outputs)} "
                f"once. Received: {outputs}."
            )
        inputs = {n: _to_array(n, t) for n, t in request.inputs.items()}
        response = predict_pb2.PredictResponse(model_spec=self._spec(name))
        _check_batch(signature, inputs, outputs, max_batch_size)
        for output, value in self._run(signature, inputs, outputs).items():
            response.outputs[output].CopyFrom(_to_proto(value))
        return response

    def classify(
        self,
        request: classification_pb2.ClassificationRequest,
        max_batch_size: int | None = None,
    ) -> classification_pb2.ClassificationResponse:
        """Answers a Classify request.

        Args:
            request: a request whose `ModelSpec` picked this version.
            max_batch_size: the most examples; None for any number.

        Returns:
            For each `tf.Example` its classes with their scores.

        Raises:
            ServingError: INVALID_ARGUMENT if there is no example, or if the
                signature is absent or not made for Classify.
        """
        name = request.model_spec.signature_name or _DEFAULT_SIGNATURE
        signature = self.signatures.get(name, SignatureDef())
        outputs = {"classes", "scores"}
        if set(signature.inputs) != {"inputs"} or (
            set(signature.outputs) != outputs
        ):
            raise invalid(
                f"{self.name} has no signature {name!r} that answers Classify "
                "with classes and scores."
            )
        examples = {"inputs": _serialized_examples(request)}
        _check_batch(signature, examples, outputs, max_batch_size)
        answer = self._run(signature, examples, outputs)
        response = classification_pb2.ClassificationResponse(
            model_spec=self._spec(name)
        )
        for labels, scores in zip(
            answer["classes"], answer["scores"], strict=True
        ):
            row = response.result.classifications.add()
            for label, score in zip(labels, scores, strict=True):
                row.classes.add(label=label.decode(), score=score)
        return response

    def metadata(self) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Answers a GetModelMetadata request for `signature_def`."""
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in self.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=self._spec("")
        )
        response.metadata["signature_def"].Pack(signatures)
        return response

    def _spec(self, signature_name: str) -> model_pb2.ModelSpec:
        """The `ModelSpec` of an answer, with the version that gave it."""
        spec = model_pb2.ModelSpec(
            name=self.name, signature_name=signature_name
        )
        spec.version.value = self.version
        return spec

    def _run(
        self,
        signature: SignatureDef,
        inputs: dict[str, np.ndarray],
        outputs: Iterable[str],
    ) -> dict[str, np.ndarray]:
        feeds = {}
        for name, value in inputs.items():
            info = signature.inputs[name]
            expected, got = tf.as_dtype(info.dtype), tf.as_dtype(value.dtype)
            # A session in Python would convert it without a word.
            if expected != got:
                raise invalid(
                    f"The input {name!r} must be {expected.name}. Received: "
                    f"{got.name}."
                )
            feeds[info.name] = value
        fetches = {name: signature.outputs[name].name for name in outputs}
        try:
            return self._session.run(fetches, feeds)
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from error
        except ValueError as error:
            # The session's own check of shapes against the placeholders.
            raise invalid(str(error)) from error


def _check_batch(
    signature: SignatureDef,
    inputs: dict[str, np.ndarray],
    outputs: Iterable[str],
    max_batch_size: int | None,
) -> None:
    """Refuses what is larger than a batch.

    A model server batches only what asks for all outputs of a signature; the
    rest it runs as it comes.
    """
    if max_batch_size is None or set(outputs) != set(signature.outputs):
        return
    for name, value in inputs.items():
        if value.ndim and len(value) > max_batch_size:
            raise invalid(
                f"The input {name!r} may have {max_batch_size} rows, as "
                f"batching.config says. Received: {len(value)}."
            )


def _serialized_examples(
    request: classification_pb2.ClassificationRequest,
) -> np.ndarray:
    """The examples of a request as the string tensor that a graph takes."""
    context = b""
    examples = request.input.example_list.examples
    if request.input.HasField("example_list_with_context"):
        # Its features hold for every example that lacks them.
        with_context = request.input.example_list_with_context
        context = with_context.context.SerializeToString()
        examples = with_context.examples
    if not examples:
        raise invalid("The request holds no example.")
    return np.array([context + e.SerializeToString() for e in examples], object)


def _to_array(name: str, tensor: tensor_pb2.TensorProto) -> np.ndarray:
    try:
        value = tf.io.parse_tensor(
            tensor.SerializeToString(), tf.as_dtype(tensor.dtype)
        ).numpy()
    except (tf.errors.OpError, TypeError) as error:
        raise invalid(f"The input {name!r} is no tensor.") from error
    # A plain conversion of a scalar would cut off NUL bytes at its end.
    return np.array(value, object if isinstance(value, bytes) else None)


def _to_proto(value: np.ndarray | bytes) -> tensor_pb2.TensorProto:
    # A session gives a scalar string as bytes.
    value = np.array(value, object if isinstance(value, bytes) else None)
    dtype = tf.as_dtype(value.dtype)
    if dtype not in _VALUE_FIELDS:
        return tf.make_tensor_proto(value)
    tensor = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    tensor.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    getattr(tensor, _VALUE_FIELDS[dtype]).extend(value.ravel().tolist())
    return tensor
