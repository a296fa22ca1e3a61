"""The contract's tests ask the stand-in, and a model server if there is one.

That is `tensorflow_model_server`, if it is on PATH, or the one at the address
in DFK_MODEL_SERVER, which serves what `python tests/tiny.py FOLDER` writes.
Both must take what one says right, and refuse with the same codes; what they
say in words is their own.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

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

from dfk.serving.model_server import PROGRAM
from dfk.serving.server import serving

__all__ = ["_exported_once", "detector", "images", "place", "run"]

STAND_IN, MODEL_SERVER = "stand-in", "model-server"
ELSEWHERE = os.environ.get("DFK_MODEL_SERVER")
SERVERS = [STAND_IN]
if ELSEWHERE or shutil.which(PROGRAM):
    SERVERS.append(MODEL_SERVER)


@contextlib.contextmanager
def _stand_in(place):
    root = place / "saved_models"
    with serving(place / "models.config", root, port=0) as server:
        yield f"localhost:{server.port}"


@contextlib.contextmanager
def _model_server(place):
    if ELSEWHERE:
        yield ELSEWHERE
        return
    with socket.create_server(("", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "dfk.serve", f"--port={port}"),
            f"--config={place / 'models.config'}",
            f"--models_root={place / 'saved_models'}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert any("Serving on" in line for line in process.stdout)
    yield f"localhost:{port}"
    process.terminate()
    process.communicate()


@pytest.fixture(scope="session", params=SERVERS)
def server(request, _exported_once):
    """A server of the tiny detector."""
    start = _stand_in if request.param == STAND_IN else _model_server
    with start(_exported_once) as address:
        yield SimpleNamespace(name=request.param, address=address)


@pytest.fixture(scope="session")
def send(server):
    """Sends a request to a server of the tiny detector."""
    with grpc.insecure_channel(server.address) as channel:
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
