"""The gRPC services of the local stand-in for TensorFlow Serving."""

import functools
from collections.abc import Callable

import grpc

from dfk.serving.model_manager import ModelManager
from dfk.serving.protobufs import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from dfk.serving.servable import ServingError, invalid, not_found

# gRPC sends an error's text in a header, which must not grow large.
_LONGEST_ERROR = 1024


def _answers(method: Callable) -> Callable:
    """Turns a method of a request into a gRPC method.

    It refuses a request without `model_spec`, and answers a `ServingError`
    with its code.
    """

    @functools.wraps(method)
    def served(self, request, context: grpc.ServicerContext):
        try:
            if not request.HasField("model_spec"):
                raise invalid("The request has no model_spec.")
            return method(self, request)
        except ServingError as error:
            return context.abort(error.code, error.message[:_LONGEST_ERROR])

    return served


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict, Classify and GetModelMetadata.

    The other methods are UNIMPLEMENTED.

    Args:
        manager: finds the version for a request.
    """

    def __init__(self, manager: ModelManager):
        self._manager = manager

    @_answers
    def Predict(self, request):  # noqa: N802
        """Tensors in, tensors out."""
        return self._manager.find(request.model_spec).predict(request)

    @_answers
    def Classify(self, request):  # noqa: N802
        """`tf.Example`s in, classes with scores out."""
        return self._manager.find(request.model_spec).classify(request)

    @_answers
    def GetModelMetadata(self, request):  # noqa: N802
        """The signatures of a model."""
        if set(request.metadata_field) != {"signature_def"}:
            raise invalid(
                "metadata_field must be 'signature_def'. Received: "
                f"{list(request.metadata_field)}."
            )
        return self._manager.find(request.model_spec).metadata()


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Answers GetModelStatus; HandleReloadConfigRequest is UNIMPLEMENTED.

    Args:
        manager: holds the loaded models.
    """

    def __init__(self, manager: ModelManager):
        self._manager = manager

    @_answers
    def GetModelStatus(self, request):  # noqa: N802
        """The state of one version, or of all versions ever seen."""
        spec = request.model_spec
        if not spec.name:
            raise invalid("The request's model_spec names no model.")
        model = self._manager.models.get(spec.name)
        seen = dict(model.versions) if model else {}
        if spec.HasField("version"):
            seen = {n: v for n, v in seen.items() if n == spec.version.value}
        if not seen:
            which = f" {spec.version.value}" if spec.HasField("version") else ""
            raise not_found(f"No version{which} of {spec.name} was ever seen.")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number in sorted(seen, reverse=True):
            version = seen[number]
            status = response.model_version_status.add(
                version=number, state=version.state
            )
            # Present, and empty where nothing is wrong.
            status.status.SetInParent()
            if version.error:
                status.status.error_code = version.error.code.value[0]
                status.status.error_message = version.error.message
        return response
