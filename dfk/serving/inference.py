"""Predict and GetModelMetadata on a loaded model, without the transport."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from dfk.serving.protobufs import (
    get_model_metadata_pb2,
    model_pb2,
    predict_pb2,
    tensor_pb2,
)
from dfk.serving.servable import Servable, SignatureDef
from dfk.serving.status import invalid, precondition

DEFAULT_SIGNATURE = "serving_default"
# The model server sends numbers one by one, not as packed bytes.
_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}


def predict(
    servable: Servable, request: predict_pb2.PredictRequest
) -> predict_pb2.PredictResponse:
    """Answers a Predict request.

    Args:
        servable: the version that the request's `ModelSpec` picked.
        request: the request.

    Returns:
        The outputs that `output_filter` names, or all of them.

    Raises:
        ServingError: with TensorFlow Serving's code and wording.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise precondition(f'Serving signature key "{name}" not found.')
    signature = servable.signatures[name]
    _check_inputs(signature, request.inputs)
    inputs = {
        alias: _to_array(alias, request.inputs[alias])
        for alias in signature.inputs
    }
    outputs = _pick_outputs(signature, request.output_filter)
    response = predict_pb2.PredictResponse(model_spec=spec(servable, name))
    for alias, value in servable.run(signature, inputs, outputs).items():
        response.outputs[alias].CopyFrom(_to_proto(value))
    return response


def spec(servable: Servable, signature_name: str) -> model_pb2.ModelSpec:
    """The `ModelSpec` of an answer: what ran, with its actual version."""
    answer = model_pb2.ModelSpec(
        name=servable.name, signature_name=signature_name
    )
    answer.version.value = servable.version
    return answer


def metadata(
    servable: Servable,
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Answers a GetModelMetadata request for `signature_def`."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.signatures.items():
        signatures.signature_def[name].CopyFrom(signature)
    response = get_model_metadata_pb2.GetModelMetadataResponse(
        model_spec=spec(servable, "")
    )
    response.metadata["signature_def"].Pack(signatures)
    return response


def _joined(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _check_inputs(signature: SignatureDef, inputs: Iterable[str]) -> None:
    sent, wanted = set(inputs), set(signature.inputs)
    if len(sent) != len(wanted):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({_joined(sent)}) != len({_joined(wanted)}). "
            f"Sent extra: {_joined(sent - wanted)}. "
            f"Missing but required: {_joined(wanted - sent)}."
        )
    for alias in sorted(wanted - sent):
        raise invalid(
            f"Signature input alias: {alias}(feed name: "
            f"{signature.inputs[alias].name}) not found in request and no "
            "default value provided. Inputs expected to be in the request "
            f"{_joined(wanted)}, or default input alias set: "
        )


def _pick_outputs(signature: SignatureDef, wanted: list[str]) -> list[str]:
    picked = []
    for alias in wanted:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs "
                f"expected to be in the set {_joined(signature.outputs)}."
            )
        if alias in picked:
            raise invalid(f"duplicate output tensor alias: {alias}")
        picked.append(alias)
    return picked or list(signature.outputs)


def _to_array(alias: str, tensor: tensor_pb2.TensorProto) -> np.ndarray:
    try:
        parsed = tf.io.parse_tensor(
            tensor.SerializeToString(), tf.as_dtype(tensor.dtype)
        )
    except (tf.errors.OpError, TypeError) as error:
        raise invalid(f"tensor parsing error: {alias}") from error
    if tensor.dtype == tf.string.as_datatype_enum:
        # A plain conversion of a scalar would cut off NUL bytes at its end.
        return np.array(parsed.numpy(), dtype=object)
    return np.asarray(parsed.numpy())


def _to_proto(value: np.ndarray) -> tensor_pb2.TensorProto:
    value = np.asarray(value)
    dtype = tf.as_dtype(value.dtype)
    if dtype not in _FIELDS:
        return tf.make_tensor_proto(value)
    tensor = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    tensor.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    getattr(tensor, _FIELDS[dtype]).extend(value.ravel().tolist())
    return tensor
