"""A request may have as many images as the shipped batching.config says."""

import grpc
import pytest
from calls import CLASSIFY, TINY

from dfk.serving.batching import max_batch_size

LARGEST = 32


def predict(count, rest=""):
    strings = "string_val: 'x' " * count
    shape = f"tensor_shape {{ dim {{ size: {count} }} }}"
    tensor = f"dtype: DT_STRING {shape} {strings}"
    value = f"inputs {{ key: 'image_bytes' value {{ {tensor} }} }}"
    return f"{TINY} {value} {rest}"


def classify(count):
    examples = "examples { } " * count
    return f"{CLASSIFY} input {{ example_list {{ {examples} }} }}"


def test_a_full_batch_is_answered(call):
    answer = call("Predict", predict(LARGEST))
    assert len(answer.outputs["verdict"].string_val) == LARGEST
    answer = call("Classify", classify(LARGEST))
    assert len(answer.result.classifications) == LARGEST


@pytest.mark.parametrize(
    ("rpc", "request_of"), [("Predict", predict), ("Classify", classify)]
)
def test_one_image_more_is_refused(call, rpc, request_of):
    with pytest.raises(grpc.RpcError) as caught:
        call(rpc, request_of(LARGEST + 1))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_what_asks_for_some_outputs_only_is_not_batched(call):
    answer = call("Predict", predict(40, "output_filter: 'verdict'"))
    assert len(answer.outputs["verdict"].string_val) == 40


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("# max_batch_size { value: 1 }\nmax_batch_size: { value:8 }", 8),
        ("num_batch_threads { value: 4 }", 1000),
    ],
)
def test_the_number_is_read_as_a_model_server_reads_it(tmp_path, text, number):
    assert max_batch_size(tmp_path) is None
    (tmp_path / "batching.config").write_text(text)
    assert max_batch_size(tmp_path) == number
