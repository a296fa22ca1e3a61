"""Classify, Regress and MultiInference on a loaded model."""

import numpy as np
import tensorflow as tf

from dfk.serving.inference import DEFAULT_SIGNATURE, spec
from dfk.serving.protobufs import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    regression_pb2,
)
from dfk.serving.servable import Servable, SignatureDef
from dfk.serving.status import from_number, invalid

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
_UNIMPLEMENTED = 12


def classify(
    servable: Servable, request: classification_pb2.ClassificationRequest
) -> classification_pb2.ClassificationResponse:
    """Answers a Classify request.

    Args:
        servable: the version that the request's `ModelSpec` picked.
        request: the request, with at least one `tf.Example`.

    Returns:
        For each example its classes with their scores.

    Raises:
        ServingError: with TensorFlow Serving's code and wording.
    """
    name, signature = _signature(servable, request.model_spec)
    return classification_pb2.ClassificationResponse(
        model_spec=spec(servable, name),
        result=_classify(servable, signature, request.input),
    )


def regress(
    servable: Servable, request: regression_pb2.RegressionRequest
) -> regression_pb2.RegressionResponse:
    """Answers a Regress request: one number for each example.

    The detectors have no signature for it; another model may.
    """
    name, signature = _signature(servable, request.model_spec)
    return regression_pb2.RegressionResponse(
        model_spec=spec(servable, name),
        result=_regress(servable, signature, request.input),
    )


def multi_inference(
    servable: Servable, request: inference_pb2.MultiInferenceRequest
) -> inference_pb2.MultiInferenceResponse:
    """Answers a MultiInference request: several tasks on one input."""
    seen = set()
    for task in request.tasks:
        _check_task(task, servable, seen)
        seen.add(_name(task.model_spec))
    response = inference_pb2.MultiInferenceResponse()
    for task in request.tasks:
        name, signature = _signature(servable, task.model_spec)
        result = response.results.add(model_spec=spec(servable, name))
        if task.method_name == CLASSIFY:
            answer = _classify(servable, signature, request.input)
            result.classification_result.CopyFrom(answer)
        else:
            answer = _regress(servable, signature, request.input)
            result.regression_result.CopyFrom(answer)
    return response


def _check_task(
    task: inference_pb2.InferenceTask, servable: Servable, seen: set[str]
) -> None:
    if not task.model_spec.name:
        raise invalid("Found ModelSpec with an empty model name.")
    if task.model_spec.name != servable.name:
        raise invalid(
            "All ModelSpecs in a MultiInferenceRequest must access the same "
            "model name."
        )
    name = _name(task.model_spec)
    if name in seen:
        raise invalid(f"Duplicate evaluation of signature: {name}")
    if name not in servable.signatures:
        raise invalid(f"Requested signature not found in model graph: {name}")
    if task.method_name not in (CLASSIFY, REGRESS):
        raise from_number(
            _UNIMPLEMENTED,
            f"Unsupported signature method_name: {task.method_name}",
        )


def _name(model_spec: model_pb2.ModelSpec) -> str:
    return model_spec.signature_name or DEFAULT_SIGNATURE


def _signature(
    servable: Servable, model_spec: model_pb2.ModelSpec
) -> tuple[str, SignatureDef]:
    name = _name(model_spec)
    if name not in servable.signatures:
        raise invalid(f"No signature was found with the name: {name}")
    return name, servable.signatures[name]


def _classify(
    servable: Servable, signature: SignatureDef, examples: input_pb2.Input
) -> classification_pb2.ClassificationResult:
    _check_one_input(signature)
    count = len(signature.outputs)
    if count not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {count}")
    _check_input_name(signature, "classification")
    names = [n for n in ("classes", "scores") if n in signature.outputs]
    if not names:
        raise invalid(
            "Expected classification signature outputs to contain at least "
            f'one of "classes" or "scores". Signature was: {signature}'
        )
    inputs = {"inputs": serialized_examples(examples)}
    outputs = servable.run(signature, inputs, names)
    for output in outputs.values():
        _check_shape(output, len(inputs["inputs"]))
    any_output = next(iter(outputs.values()))
    labels = outputs.get("classes", np.full(any_output.shape, b"", object))
    scores = outputs.get("scores", np.zeros(any_output.shape))
    result = classification_pb2.ClassificationResult()
    for row_labels, row_scores in zip(labels, scores, strict=True):
        row = result.classifications.add()
        for label, score in zip(row_labels, row_scores, strict=True):
            row.classes.add(label=label.decode(), score=score)
    return result


def _regress(
    servable: Servable, signature: SignatureDef, examples: input_pb2.Input
) -> regression_pb2.RegressionResult:
    _check_one_input(signature)
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    _check_input_name(signature, "regression")
    if "outputs" not in signature.outputs:
        raise invalid(
            f"No regression outputs found in SignatureDef: {signature}"
        )
    inputs = {"inputs": serialized_examples(examples)}
    values = servable.run(signature, inputs, ["outputs"])["outputs"]
    if values.ndim not in (1, 2) or values.size != len(inputs["inputs"]):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or "
            f"[batch_size, 1] but got {tf.TensorShape(values.shape)}"
        )
    result = regression_pb2.RegressionResult()
    for value in values.ravel():
        result.regressions.add(value=value)
    return result


def _check_one_input(signature: SignatureDef) -> None:
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")


def _check_input_name(signature: SignatureDef, kind: str) -> None:
    if "inputs" not in signature.inputs:
        raise invalid(f"No {kind} inputs found in SignatureDef: {signature}")


def _check_shape(output: np.ndarray, count: int) -> None:
    if output.ndim != 2:
        raise invalid(
            "Expected Tensor shape: [batch_size num_classes] but got "
            f"{tf.TensorShape(output.shape)}"
        )
    if len(output) != count:
        raise invalid(
            f"Expected scores output batch size of {count}. Got: {len(output)}"
        )


def serialized_examples(examples: input_pb2.Input) -> np.ndarray:
    """The examples of a request as the string tensor that a graph takes.

    Args:
        examples: a list of `tf.Example`, with or without a context. The
            context's features hold for every example that lacks them.

    Returns:
        Byte strings `[N]`.

    Raises:
        ServingError: there is no example.
    """
    context = b""
    listed = examples.example_list.examples
    if examples.WhichOneof("kind") == "example_list_with_context":
        context = examples.example_list_with_context.context.SerializeToString()
        listed = examples.example_list_with_context.examples
    if not listed:
        raise invalid("Input is empty.")
    return np.array([context + e.SerializeToString() for e in listed], object)
