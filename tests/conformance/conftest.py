import grpc
import pytest

# The detector and its export are those of tests/serving.
from calls import REQUESTS
from google.protobuf import text_format
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tiny import _exported_once, detector, images, place, run

from dfk.serving.server import serving

__all__ = ["_exported_once", "detector", "images", "place", "run"]


@pytest.fixture(scope="session")
def send(_exported_once):
    """Sends a request to the one server of the tiny detector."""
    config = _exported_once / "models.config"
    with (
        serving(config, _exported_once / "saved_models", port=0) as server,
        grpc.insecure_channel(f"localhost:{server.port}") as channel,
    ):
        stubs = (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )

        def send(rpc, request):
            stub = next(s for s in stubs if hasattr(s, rpc))
            return getattr(stub, rpc)(request, timeout=60)

        yield send


@pytest.fixture(scope="session")
def call(send):
    """Sends a request that is written as text."""
    return lambda rpc, text: send(rpc, text_format.Parse(text, REQUESTS[rpc]()))
