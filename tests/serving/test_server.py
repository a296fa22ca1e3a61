import shutil
import threading
import time

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    prediction_log_pb2,
)
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from dfk.errors import UserError
from dfk.serving import server as server_module
from dfk.serving.client import Client
from dfk.serving.server import serving

POLICY = """model_config_list {{ config {{
    name: 'tiny' base_path: '/models/tiny' model_platform: 'tensorflow' {} }} }}
"""


@pytest.fixture
def folder(place, tmp_path):
    """A folder of its own for each test, with tiny/1."""
    shutil.copytree(place, tmp_path / "own")
    return tmp_path / "own"


def serve(folder, policy=None):
    config = folder / "models.config"
    if policy is not None:
        config.write_text(POLICY.format(policy))
    return serving(config, folder / "saved_models", port=0)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
def test_one_address_of_a_host_is_listened_on(host, address):
    assert server_module._address(host) == address


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b"])
def test_a_host_without_an_address_is_named(folder, host):
    with (
        pytest.raises(UserError, match=f"Cannot listen on '{host}'"),
        serving(folder / "models.config", folder / "saved_models", host=host),
    ):
        pass


def add_version(folder, version):
    """Publishes a version as an export does: complete, by a rename."""
    models = folder / "saved_models/tiny"
    shutil.copytree(models / "1", models / ".new")
    (models / ".new").rename(models / str(version))


def statuses(server, model="tiny"):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        answer = service.GetModelStatus(request, timeout=5)
    return {
        s.version: ModelVersionStatus.State.Name(s.state)
        for s in answer.model_version_status
    }


def reload(server, text):
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        return service.HandleReloadConfigRequest(request, timeout=20)


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_new_version_takes_over_without_a_gap(folder, images):
    with serve(folder) as server:
        client = Client(f"localhost:{server.port}", "tiny")
        versions, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                client.predict(images[:1])
                versions.append(client.version)

        asking = threading.Thread(target=ask)
        asking.start()
        add_version(folder, 2)
        wait_for(lambda: 2 in versions)
        wait_for(lambda: statuses(server) == {2: "AVAILABLE", 1: "END"})
        stop.set()
        asking.join()
    assert versions == sorted(versions)
    assert set(versions) == {1, 2}


def test_removing_a_version_rolls_back(folder, images):
    add_version(folder, 2)
    with serve(folder) as server:
        client = Client(f"localhost:{server.port}", "tiny")
        client.predict(images[:1])
        assert client.version == 2
        (folder / "saved_models/tiny/2").rename(folder / "gone")
        wait_for(lambda: statuses(server) == {2: "END", 1: "AVAILABLE"})
        client.predict(images[:1])
        assert client.version == 1


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(folder):
    with serve(folder) as server:
        (folder / "saved_models/tiny/2").mkdir()
        wait_for(lambda: 2 in statuses(server))
        wait_for(lambda: statuses(server)[2] == "END")
        assert statuses(server)[1] == "AVAILABLE"
        # Once it has gone and come back whole, it is taken.
        (folder / "saved_models/tiny/2").rmdir()
        time.sleep(1.2)
        add_version(folder, 2)
        wait_for(lambda: statuses(server) == {2: "AVAILABLE", 1: "END"})


def test_a_model_without_versions_stops_answering(folder, images):
    with serve(folder) as server:
        shutil.rmtree(folder / "saved_models/tiny/1")
        wait_for(lambda: statuses(server) == {1: "END"})
        with pytest.raises(UserError, match="serves no model 'tiny'"):
            Client(f"localhost:{server.port}", "tiny").predict(images)


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [
        ("", [4]),
        ("model_version_policy { latest { num_versions: 2 } }", [4, 3]),
        ("model_version_policy { all { } }", [4, 3, 1]),
        ("model_version_policy { specific { versions: [1, 3, 9] } }", [3, 1]),
    ],
)
def test_policies_pick_versions(folder, policy, loaded):
    add_version(folder, 3)
    add_version(folder, "0004")
    (folder / "saved_models/tiny/v5").mkdir()
    with serve(folder, policy) as server:
        assert server.manager.models()["tiny"].available() == loaded


def test_labels_name_versions_and_move_only_to_loaded_ones(folder):
    add_version(folder, 2)
    label = "version_labels {{ key: 'stable' value: {} }}"
    policy = "model_version_policy { all { } } " + label.format(1)
    with serve(folder, policy) as server:
        find = server.manager.find
        assert find(spec("stable")).version == 1
        reload(server, POLICY.format(policy.replace("value: 1", "value: 2")))
        assert find(spec("stable")).version == 2
        with pytest.raises(grpc.RpcError) as caught:
            reload(
                server, POLICY.format(policy.replace("value: 1", "value: 9"))
            )
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == (
            "Request to assign label to version 9 of model tiny, which is "
            "not currently available for inference"
        )
        assert find(spec("stable")).version == 2


def spec(label):
    return model_pb2.ModelSpec(name="tiny", version_label=label)


def test_a_reload_replaces_the_whole_list(folder, images):
    shutil.copytree(
        folder / "saved_models/tiny", folder / "saved_models/second"
    )
    with serve(folder) as server:
        answer = reload(server, POLICY.format("").replace("tiny", "second"))
        assert answer.HasField("status")
        assert statuses(server, "tiny") == {1: "END"}
        assert statuses(server, "second") == {1: "AVAILABLE"}
        reload(server, POLICY.format(""))
        assert statuses(server, "tiny") == {1: "AVAILABLE"}


def write_no_records(file):
    file.write_bytes(b"this is no TFRecord file at all")


def write_no_messages(file):
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(b"no PredictionLog")


def write_a_wrong_request(file):
    record = prediction_log_pb2.PredictionLog()
    record.predict_log.request.inputs["x"].dtype = tf.string.as_datatype_enum
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(record.SerializeToString())


@pytest.mark.parametrize(
    "write", [write_no_records, write_no_messages, write_a_wrong_request]
)
def test_a_failing_warm_up_fails_the_load(folder, write):
    extra = folder / "saved_models/tiny/1/assets.extra"
    write(extra / "tf_serving_warmup_requests")
    with (
        pytest.raises(UserError, match="did not become available"),
        serve(folder),
    ):
        pass


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "models.config").unlink(), "No such file"),
        (
            lambda f: (f / "models.config").write_text(""),
            "models.config; Invalid argument",
        ),
        (
            lambda f: (f / "models.config").write_text("what?"),
            "Invalid protobuf file",
        ),
        (
            lambda f: shutil.rmtree(f / "saved_models/tiny"),
            "Could not find base path",
        ),
        (
            lambda f: shutil.rmtree(f / "saved_models/tiny/1"),
            "No versions of servable tiny found",
        ),
        (
            lambda f: (f / "saved_models/tiny/1/saved_model.pb").unlink(),
            "does not appear to contain a SavedModel",
        ),
        (
            lambda f: (
                f / "saved_models/tiny/1/saved_model.pb"
            ).write_bytes(b"not a graph"),
            "Can't parse .*saved_model.pb as binary proto",
        ),
    ],
)  # fmt: skip
def test_a_start_that_fails_says_why(folder, spoil, message):
    spoil(folder)
    with pytest.raises(UserError, match=message), serve(folder):
        pass


def test_a_port_in_use_is_said(place):
    config, root = place / "models.config", place / "saved_models"
    with serving(config, root, port=0) as server:
        again = serving(config, root, port=server.port)
        with pytest.raises(UserError, match="may be in use"), again:
            pass
