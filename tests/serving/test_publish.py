"""Labels move only to what a server has loaded; old versions are deleted."""

import contextlib
import threading
import time
from concurrent import futures

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from dfk.errors import UserError
from dfk.serving import model_config
from dfk.serving.model_status import model_status
from dfk.serving.protobufs import from_strings
from dfk.serving.publish import is_served, move_label, prune, require_server
from dfk.serving.server import serving

STABLE = "version_labels { key: 'stable' value: 1 }"
PINNED = "model_version_policy { specific { versions: 1 } }"
ALL = "model_version_policy { all { } }"


@contextlib.contextmanager
def server_of(toy):
    with serving(toy.config, toy.root, port=0) as server:
        yield f"localhost:{server.port}"


def entry(toy):
    """Its labels, and the versions that its policy names."""
    model = model_config.entry(model_config.read(toy.config), "toy")
    versions = list(model.model_version_policy.specific.versions)
    return dict(model.version_labels), versions


def move(toy, label, number, server, timeout=60.0, is_new=True):
    version = toy.version(number)
    return move_label(version, label, toy.config, server, timeout, is_new)


def answering(server, label):
    """The version that answers for a label, once the server has read it."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "toy"
    request.model_spec.version_label = label
    request.inputs["text"].CopyFrom(from_strings([b"hello"]))
    with grpc.insecure_channel(server) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return stub.Predict(request, timeout=10).model_spec.version.value


@pytest.mark.parametrize(
    ("settings", "is_new", "versions"),
    [
        # What was served before the export stays.
        ("", True, [1, 2]),
        ("", False, [2]),
        (ALL, True, []),
    ],
)
def test_a_label_keeps_what_others_need(toy, settings, is_new, versions):
    toy.configure(settings)
    with server_of(toy) as server:
        toy.add(2)
        assert move(toy, "canary", 2, server, is_new=is_new) is None
    labels, named = entry(toy)
    assert labels["canary"] == 2
    assert named == versions


def test_a_label_moves_on_and_back(toy):
    toy.configure(PINNED + STABLE)
    toy.add(2, 3)
    with server_of(toy) as server:
        assert move(toy, "stable", 2, server) == 1
        assert entry(toy) == ({"stable": 2}, [1, 2])
        # What the label left is loaded until the next move.
        assert move(toy, "stable", 1, server) == 2
        assert move(toy, "canary", 3, server) is None
        assert entry(toy) == ({"stable": 1, "canary": 3}, [1, 3])


def test_the_label_answers_while_it_moves(toy):
    toy.configure(PINNED + STABLE)
    with server_of(toy) as server:
        versions, stop = [answering(server, "stable")], threading.Event()

        def keep_asking():
            while not stop.wait(0.01) and versions[-1] == 1:
                versions.append(answering(server, "stable"))

        asking = threading.Thread(target=keep_asking)
        asking.start()
        toy.add(2)
        move(toy, "stable", 2, server)
        asking.join(20)
        stop.set()
    assert versions[-1] == 2


def test_a_version_that_cannot_be_loaded_changes_nothing(toy):
    toy.configure(PINNED + STABLE)
    before = entry(toy)
    toy.version(2).mkdir()
    with (
        server_of(toy) as server,
        grpc.insecure_channel(server) as channel,
    ):
        with pytest.raises(UserError, match=r"NOT_FOUND: .*label stable stays"):
            move(toy, "stable", 2, server)
        assert entry(toy) == before
        # The server says why for as long as it is asked.
        failed, _ = model_status(channel, "toy", timeout=10.0)
    assert failed.version == 2
    assert failed.error.startswith("NOT_FOUND: ")


def test_a_version_that_was_mended_gets_its_label(toy):
    toy.configure(PINNED + STABLE)
    toy.version(2).mkdir()
    with serving(toy.config, toy.root, port=0) as server:
        address = f"localhost:{server.port}"
        with pytest.raises(UserError, match="cannot load version 2"):
            move(toy, "stable", 2, address)
        # It tries again only what it was told to leave alone meanwhile.
        while server.manager.models["toy"]._failed:
            time.sleep(0.05)
        toy.version(2).rmdir()
        toy.add(2)
        assert move(toy, "stable", 2, address, is_new=False) == 1
    assert entry(toy)[0] == {"stable": 2}


def test_a_server_that_never_loads_it_is_not_waited_for_for_ever(toy):
    toy.configure(STABLE)
    with server_of(toy) as server:
        # It does not see this folder.
        toy.root.rename(toy.root.with_name("elsewhere"))
        toy.root = toy.root.with_name("elsewhere")
        toy.add(2)
        with pytest.raises(UserError, match=r"0.1 seconds \(state: UNKNOWN\)"):
            move(toy, "stable", 2, server, timeout=0.1)
    assert entry(toy)[0] == {"stable": 1}


def test_another_server_than_a_model_server_is_said():
    other = grpc.server(futures.ThreadPoolExecutor(1))
    address = f"localhost:{other.add_insecure_port('localhost:0')}"
    other.start()
    with pytest.raises(UserError, match=f"No model server .* {address} "):
        require_server(address)
    other.stop(0).wait()


def test_any_model_server_will_do(toy):
    with server_of(toy) as server:
        require_server(server)


def test_a_model_that_is_not_listed_is_named(toy):
    toy.configure(name="other")
    with pytest.raises(UserError, match="lists no model 'toy'"):
        move(toy, "canary", 1, "localhost:1")


@pytest.mark.parametrize(
    ("settings", "served"),
    [("", [4]), (ALL, [1, 2, 3, 4]), (PINNED, [1])],
)
def test_what_is_served_is_the_policys(toy, settings, served):
    toy.add(2, 3, 4)
    toy.configure(settings)
    numbers = range(1, 5)
    assert served == [
        n for n in numbers if is_served(toy.version(n), toy.config)
    ]


@pytest.mark.parametrize(
    ("settings", "keep", "deleted"),
    [
        ("", 1, "1234"),
        ("", 5, ""),
        (STABLE, 2, "23"),
        (PINNED, 1, "234"),
        ("model_version_policy { latest { num_versions: 3 } }", 1, "12"),
    ],
)
def test_old_versions_are_deleted(toy, settings, keep, deleted):
    toy.add(2, 3, 4, 5, "v6")
    toy.configure(settings)
    gone = prune(toy.version(5), keep, toy.config)
    assert [path.name for path in gone] == list(deleted)
    left = {path.name for path in (toy.root / "toy").iterdir()}
    assert left == {"v6", *"12345"} - set(deleted)
