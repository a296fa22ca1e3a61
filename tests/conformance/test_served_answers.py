"""Right requests get answers of TensorFlow Serving's form."""

import math

import pytest
import tensorflow as tf
from calls import CLASSIFY, IMAGE, TINY
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2


def test_an_answer_says_what_ran(call):
    spec = call("Predict", f"{TINY} {IMAGE}").model_spec
    assert spec.name == "tiny"
    assert spec.version.value == 1
    assert spec.signature_name == "serving_default"


def test_numbers_come_one_by_one(call):
    tensor = call("Predict", f"{TINY} {IMAGE}").outputs["fake_probability"]
    assert len(tensor.float_val) == 1
    assert not tensor.tensor_content


def test_only_the_outputs_asked_for_come(call):
    answer = call("Predict", f"{TINY} {IMAGE} output_filter: 'verdict'")
    assert {k: v.string_val[0] for k, v in answer.outputs.items()} == {
        "verdict": b"unreadable"
    }


def test_packed_pixels_are_accepted(send):
    pixels = tf.make_tensor_proto(tf.ones([2, 32, 32, 3]))
    assert pixels.tensor_content
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tiny"
    request.model_spec.signature_name = "images"
    request.inputs["images"].CopyFrom(pixels)
    answer = send("Predict", request)
    assert len(answer.outputs["fake_probability"].float_val) == 2


def test_metadata_lists_every_signature(call):
    request = f"{TINY} metadata_field: 'signature_def'"
    answer = call("GetModelMetadata", request)
    packed = answer.metadata["signature_def"]
    assert packed.type_url == (
        "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    )
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures)
    assert set(signatures.signature_def) == {
        "__saved_model_init_op",
        "classify",
        "embed",
        "images",
        "serving_default",
    }
    assert answer.model_spec.version.value == 1
    assert not answer.model_spec.signature_name


def test_status_ignores_labels_and_says_ok(call):
    request = "model_spec { name: 'tiny' version_label: 'none' }"
    (status,) = call("GetModelStatus", request).model_version_status
    assert (status.version, status.state) == (1, 30)
    assert status.status == type(status.status)()


def test_classes_come_with_their_scores(call, images):
    encoded = "".join(f"\\x{byte:02x}" for byte in images[0])
    feature = (
        f"feature {{ key: 'image/encoded' value {{ bytes_list {{ value: "
        f"'{encoded}' }} }} }}"
    )
    one, broken = f"examples {{ features {{ {feature} }} }}", "examples { }"
    answer = call(
        "Classify", f"{CLASSIFY} input {{ example_list {{ {one} {broken} }} }}"
    )
    assert answer.model_spec.signature_name == "classify"
    rows = [row.classes for row in answer.result.classifications]
    assert [[c.label for c in row] for row in rows] == [["real", "fake"]] * 2
    assert sum(c.score for c in rows[0]) == pytest.approx(1)
    assert all(math.isnan(c.score) for c in rows[1])
    # A context's features hold for every example that lacks them.
    shared = f"context {{ features {{ {feature} }} }} {broken} {broken}"
    answer = call(
        "Classify",
        f"{CLASSIFY} input {{ example_list_with_context {{ {shared} }} }}",
    )
    for row in answer.result.classifications:
        assert row.classes == rows[0]
