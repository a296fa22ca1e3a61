"""The PredictionService of the local stand-in."""

from dfk.serving import classification, inference
from dfk.serving.manager import Manager
from dfk.serving.protobufs import model_pb2, prediction_service_pb2_grpc
from dfk.serving.rpc import answers, require_spec
from dfk.serving.status import invalid


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers inference requests from the models that a manager has loaded.

    Args:
        manager: finds the version for a request.
    """

    def __init__(self, manager: Manager):
        self._manager = manager

    @answers
    def Predict(self, request):  # noqa: N802
        """Tensors in, tensors out."""
        require_spec(request)
        servable = self._manager.find(request.model_spec)
        return inference.predict(servable, request)

    @answers
    def Classify(self, request):  # noqa: N802
        """`tf.Example`s in, classes with scores out."""
        require_spec(request)
        servable = self._manager.find(request.model_spec)
        return classification.classify(servable, request)

    @answers
    def Regress(self, request):  # noqa: N802
        """`tf.Example`s in, one number for each out."""
        require_spec(request)
        servable = self._manager.find(request.model_spec)
        return classification.regress(servable, request)

    @answers
    def MultiInference(self, request):  # noqa: N802
        """Several of the two above on the same examples."""
        tasks = request.tasks
        spec = tasks[0].model_spec if tasks else model_pb2.ModelSpec()
        servable = self._manager.find(spec)
        return classification.multi_inference(servable, request)

    @answers
    def GetModelMetadata(self, request):  # noqa: N802
        """The signatures of a model."""
        require_spec(request)
        if not request.metadata_field:
            raise invalid(
                "GetModelMetadataRequest must specify at least one "
                "metadata_field"
            )
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        return inference.metadata(self._manager.find(request.model_spec))
