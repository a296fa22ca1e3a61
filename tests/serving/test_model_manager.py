"""Which versions are loaded, as the folders and models.config change."""

import shutil

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, prediction_log_pb2

from dfk.errors import UserError
from dfk.serving.model_manager import ModelManager, State
from dfk.serving.servable import ServingError

POLICY = "model_version_policy {{ {} }}"
ALL = POLICY.format("all { }")


@pytest.fixture
def manager(toy):
    manager = ModelManager(toy.config, toy.root)
    assert manager.refresh() == []
    return manager


def states(manager, name="toy"):
    versions = manager.models[name].versions
    return {number: version.state for number, version in versions.items()}


def find(manager, name="toy", **wanted):
    return manager.find(model_pb2.ModelSpec(name=name, **wanted)).version


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [
        ("", [4]),
        (POLICY.format("latest { num_versions: 2 }"), [4, 3]),
        (ALL, [4, 3, 1]),
        (POLICY.format("specific { versions: [1, 3, 9] }"), [3, 1]),
    ],
)
def test_policies_pick_versions(toy, policy, loaded):
    toy.add(3, "0004", "v5")
    toy.configure(policy)
    manager = ModelManager(toy.config, toy.root)
    assert manager.refresh() == []
    assert manager.models["toy"].available() == loaded
    assert find(manager) == loaded[0]


def test_a_new_version_replaces_the_old_one(toy, manager):
    toy.add(2)
    assert manager.refresh() == []
    assert states(manager) == {1: State.END, 2: State.AVAILABLE}
    assert find(manager) == 2


def test_removing_a_version_rolls_back(toy, manager):
    toy.add(2)
    manager.refresh()
    toy.version(2).rename(toy.version("bad-2"))
    assert manager.refresh() == []
    assert states(manager) == {1: State.AVAILABLE, 2: State.END}


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(toy, manager):
    toy.version(2).mkdir()
    (problem,) = manager.refresh()
    assert "Version 2 of toy cannot be loaded" in problem
    assert states(manager) == {1: State.AVAILABLE, 2: State.END}
    # Whole now, but it is not tried again before it was gone for a while.
    toy.version(2).rmdir()
    toy.add(2)
    assert manager.refresh() == [problem]
    shutil.rmtree(toy.version(2))
    assert manager.refresh() == []
    assert manager.models["toy"].versions[2].error
    toy.add(2)
    assert manager.refresh() == []
    assert manager.models["toy"].versions[2].error is None
    assert find(manager) == 2


def test_a_model_without_versions_stops_answering(toy, manager):
    shutil.rmtree(toy.version(1))
    (problem,) = manager.refresh()
    assert "has no version of toy" in problem
    with pytest.raises(ServingError) as caught:
        find(manager)
    assert caught.value.code == grpc.StatusCode.NOT_FOUND


def test_a_folder_that_is_gone_changes_nothing(toy, manager):
    toy.root.rename(toy.root.with_name("moved"))
    (problem,) = manager.refresh()
    assert "toy has no folder" in problem
    assert find(manager) == 1


def test_a_label_moves_only_to_a_version_that_answers(toy):
    def label(number):
        toy.configure(f"{ALL} version_labels {{ key: 'best' value: {number} }}")

    toy.add(2)
    label(1)
    manager = ModelManager(toy.config, toy.root)
    assert manager.refresh() == []
    assert find(manager, version_label="best") == 1
    label(2)
    assert manager.refresh() == []
    assert find(manager, version_label="best") == 2
    label(3)
    (problem,) = manager.refresh()
    assert "The label 'best' of toy stays at version 2" in problem
    assert find(manager, version_label="best") == 2
    toy.add(3)
    assert manager.refresh() == []
    assert find(manager, version_label="best") == 3
    toy.configure(ALL)
    manager.refresh()
    with pytest.raises(ServingError) as caught:
        find(manager, version_label="best")
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_new_label_may_name_a_version_that_does_not_answer(toy, manager):
    toy.configure("version_labels { key: 'next' value: 7 }")
    assert manager.refresh() == []
    with pytest.raises(ServingError) as caught:
        find(manager, version_label="next")
    assert caught.value.code == grpc.StatusCode.NOT_FOUND


def test_models_come_and_go_with_the_config(toy, manager):
    toy.add(5, name="second")
    toy.configure(name="second")
    assert manager.refresh() == []
    assert find(manager, "second") == 5
    assert states(manager) == {1: State.END}
    toy.configure()
    assert manager.refresh() == []
    assert find(manager) == 1


def test_a_config_that_is_wrong_changes_nothing(toy, manager):
    toy.config.write_text("model_config_list {")
    with pytest.raises(UserError):
        manager.refresh()
    assert find(manager) == 1


def no_records(file):
    file.write_bytes(b"this is no TFRecord file at all")


def no_messages(file):
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(b"no PredictionLog")


def a_wrong_request(file):
    record = prediction_log_pb2.PredictionLog()
    record.predict_log.request.inputs["x"].dtype = tf.string.as_datatype_enum
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(record.SerializeToString())


def test_a_warm_up_that_cannot_be_read_fails_the_load(toy, monkeypatch):
    extra = toy.version(1) / "assets.extra"
    extra.mkdir()
    no_records(extra / "tf_serving_warmup_requests")

    def refused(file):
        raise tf.errors.PermissionDeniedError(None, None, f"{file}: denied")

    monkeypatch.setattr(tf.data, "TFRecordDataset", refused)
    (problem,) = ModelManager(toy.config, toy.root).refresh()
    assert "cannot be loaded (PERMISSION_DENIED: " in problem


@pytest.mark.parametrize("write", [no_records, no_messages, a_wrong_request])
def test_a_failing_warm_up_fails_the_load(toy, write):
    extra = toy.version(1) / "assets.extra"
    extra.mkdir()
    write(extra / "tf_serving_warmup_requests")
    manager = ModelManager(toy.config, toy.root)
    (problem,) = manager.refresh()
    assert "Version 1 of toy cannot be loaded" in problem
    assert states(manager) == {1: State.END}
