"""The stand-in as a running server: its port, its polling, its start."""

import shutil
import threading
import time

import grpc
import pytest
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from dfk.errors import UserError
from dfk.serving import server as server_module
from dfk.serving.protobufs import from_strings
from dfk.serving.server import serving


def serve(models, **options):
    return serving(models.config, models.root, **{"port": 0, **options})


def ask(channel):
    """The version that answers now."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "toy"
    request.inputs["text"].CopyFrom(from_strings([b"hello"]))
    service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = service.Predict(request, timeout=10)
    assert answer.outputs["text"].string_val == [b"hello"]
    return answer.model_spec.version.value


def statuses(channel):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "toy"
    service = model_service_pb2_grpc.ModelServiceStub(channel)
    return {
        s.version: ModelVersionStatus.State.Name(s.state)
        for s in service.GetModelStatus(
            request, timeout=10
        ).model_version_status
    }


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_new_version_takes_over_without_a_gap(toy):
    with (
        serve(toy) as server,
        grpc.insecure_channel(f"localhost:{server.port}") as channel,
    ):
        versions, stop = [ask(channel)], threading.Event()

        def keep_asking():
            while not stop.is_set():
                versions.append(ask(channel))

        asking = threading.Thread(target=keep_asking)
        asking.start()
        toy.add(2)
        wait_for(lambda: versions[-1] == 2)
        wait_for(lambda: statuses(channel) == {2: "AVAILABLE", 1: "END"})
        stop.set()
        asking.join()
        # The poll goes on after what it cannot read, and reads it again.
        toy.config.write_text("model_config_list {")
        time.sleep(1.5)
        toy.configure("model_version_policy { specific { versions: 1 } }")
        wait_for(lambda: ask(channel) == 1)
    assert versions == sorted(versions)


@pytest.mark.parametrize(
    ("host", "address"),
    [("localhost", "127.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]")],
)
def test_a_host_is_listened_on(toy, host, address):
    with (
        serve(toy, host=host) as server,
        grpc.insecure_channel(f"{address}:{server.port}") as channel,
    ):
        assert ask(channel) == 1


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b"])
def test_a_host_without_an_address_is_named(toy, host):
    with (
        pytest.raises(UserError, match=f"Cannot listen on '{host}'"),
        serve(toy, host=host),
    ):
        pass


def test_a_message_over_the_limit_is_refused(toy, monkeypatch):
    monkeypatch.setattr(server_module, "MESSAGE_BYTES", 4)
    with (
        serve(toy) as server,
        grpc.insecure_channel(f"localhost:{server.port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        ask(channel)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_port_in_use_is_said(toy):
    with serve(toy) as server:
        again = serve(toy, port=server.port)
        with pytest.raises(UserError, match="may be in use"), again:
            pass


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda toy: toy.config.unlink(), "No such file"),
        (lambda toy: shutil.rmtree(toy.root / "toy"), "toy has no folder"),
        (lambda toy: shutil.rmtree(toy.version(1)), "has no version of toy"),
        (
            lambda toy: (toy.version(1) / "saved_model.pb").unlink(),
            "NOT_FOUND: .* holds no saved_model.pb",
        ),
        (
            lambda toy: (toy.version(1) / "saved_model.pb").write_bytes(b"?"),
            "DATA_LOSS: .*saved_model.pb cannot be read",
        ),
    ],
)
def test_a_start_that_fails_says_why(toy, spoil, message):
    spoil(toy)
    with pytest.raises(UserError, match=message), serve(toy):
        pass
