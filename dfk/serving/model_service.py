"""The ModelService of the local stand-in."""

from pathlib import Path

from dfk.serving.manager import Manager
from dfk.serving.model import Version
from dfk.serving.model_config import localise
from dfk.serving.protobufs import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)
from dfk.serving.rpc import answers, require_spec
from dfk.serving.status import invalid, not_found


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Says which versions are loaded, and takes new configurations.

    Args:
        manager: holds the loaded models.
        models_root: the folder that the container sees as `/models`.
    """

    def __init__(self, manager: Manager, models_root: Path):
        self._manager = manager
        self._models_root = models_root

    @answers
    def GetModelStatus(self, request):  # noqa: N802
        """The state of one version, or of all versions ever seen."""
        require_spec(request)
        spec = request.model_spec
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        model = self._manager.models().get(spec.name)
        seen = dict(model.versions) if model else {}
        if spec.HasField("version"):
            number = spec.version.value
            if number not in seen:
                raise not_found(
                    f"Could not find version {number} of model {spec.name}"
                )
            seen = {number: seen[number]}
        if not seen:
            raise not_found(f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number in sorted(seen, reverse=True):
            _describe(response.model_version_status.add(), number, seen[number])
        return response

    @answers
    def HandleReloadConfigRequest(self, request):  # noqa: N802
        """Replaces the whole configuration."""
        self._manager.reload(localise(request.config, self._models_root))
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response


def _describe(status, number: int, version: Version) -> None:
    status.version = number
    status.state = version.state
    status.status.SetInParent()
    if version.error:
        status.status.error_code = version.error.code.value[0]
        status.status.error_message = version.error.message
