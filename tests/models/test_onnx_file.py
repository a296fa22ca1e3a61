"""Weights of ONNX files that onnx and onnxruntime wrote."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from dfk.models.onnx_file import read_weights


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    return {
        "kernel": rng.normal(0, 1, (8, 4)).astype(np.float32),
        "bias": rng.normal(0, 1, 4).astype(np.float32),
    }


@pytest.fixture
def file(tensors, tmp_path):
    """A product and a sum, exported as PyTorch exports a linear layer."""
    nodes = [
        helper.make_node("MatMul", ["x", "kernel"], ["y"], "/head/fc1/MatMul"),
        helper.make_node("Add", ["y", "bias"], ["z"], "/head/fc1/Add"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(v, name) for name, v in tensors.items()],
    )
    path = tmp_path / "tiny.onnx"
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset]), path)
    return path


def test_weights_are_read_as_they_are(file, tensors):
    found = read_weights(file)
    for name, values in tensors.items():
        np.testing.assert_array_equal(found[name], values)


def test_quantised_matrices_are_floats_again(file, tensors, tmp_path):
    small = tmp_path / "int8.onnx"
    quantize_dynamic(file, small, weight_type=QuantType.QInt8, per_channel=True)
    weight = read_weights(small)["head.fc1.weight"]
    step = np.abs(tensors["kernel"]).max(axis=0) / 127
    assert weight.dtype == np.float32
    assert np.all(np.abs(weight.T - tensors["kernel"]) <= 0.51 * step)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "text.onnx"
    path.write_bytes(b"\xff\xff no ONNX file")
    with pytest.raises(ValueError, match="no ONNX file"):
        read_weights(path)
