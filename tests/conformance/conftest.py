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


@pytest.fixture(scope="module")
def call(place):
    """Sends a request, in text, to a server of the tiny detector."""
    with serving(
        place / "models.config", place / "saved_models", port=0
    ) as server:
        channel = grpc.insecure_channel(f"localhost:{server.port}")
        stubs = (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )

        def call(rpc, text):
            request = text_format.Parse(text, REQUESTS[rpc]())
            stub = next(s for s in stubs if hasattr(s, rpc))
            return getattr(stub, rpc)(request, timeout=20)

        yield call
        channel.close()
