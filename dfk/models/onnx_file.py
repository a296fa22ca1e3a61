"""Reading the weights of an ONNX file, without the onnx package.

An ONNX file is one protobuf message. Only the few fields that hold weights are
declared here; protobuf skips all others. Matrices that were quantised to int8
are turned back into float32.

Reference:
    https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from pathlib import Path

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

# The fields that are read: name, number, type; `*` marks a repeated one.
_MESSAGES = {
    "Model": (("graph", 7, "Graph"),),
    "Graph": (("node*", 1, "Node"), ("initializer*", 5, "Tensor")),
    "Node": (
        ("input*", 1, "string"),
        ("name", 3, "string"),
        ("op", 4, "string"),
    ),
    "Tensor": (
        ("dims*", 1, "int64"),
        ("data_type", 2, "int32"),
        ("float_data*", 4, "float"),
        # Small integers too, as the format has it.
        ("int32_data*", 5, "int32"),
        ("name", 8, "string"),
        ("raw_data", 9, "bytes"),
    ),
}
# `TensorProto.DataType` of the types that weights have.
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 7: np.int64, 10: np.float16}
_PACKAGE = "dfk.onnx"


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Reads all weights of an ONNX file.

    Args:
        path: a file whose tensors are stored in it, as raw bytes.

    Returns:
        Arrays by name. A quantised matrix stands where the state dict that
        was exported had it, float32 `[outputs, inputs]`: that of the node
        `/encoder/layers.0/fc1/MatMul_quant` is `encoder.layers.0.fc1.weight`.

    Raises:
        ValueError: the file is no ONNX file.

    Example:
        >>> read_weights(Path("clip.onnx"))["visual_projection.weight"].shape
        (512, 768)
    """
    try:
        graph = _message("Model").FromString(path.read_bytes()).graph
    except DecodeError as error:
        raise ValueError(f"{path} is no ONNX file ({error}).") from error
    tensors = {each.name: _array(each) for each in graph.initializer}
    for node in graph.node:
        if node.op == "MatMulInteger":
            _, kernel, _, zero = node.input
            scale = tensors[kernel.removesuffix("quantized") + "scale"]
            name = node.name.rsplit("/", 1)[0].strip("/").replace("/", ".")
            whole = tensors[kernel].astype(np.float32) - tensors[zero]
            tensors[f"{name}.weight"] = (whole * scale).T
    return tensors


def _array(tensor) -> np.ndarray:
    dtype = _TYPES[tensor.data_type]
    listed = list(tensor.float_data) or list(tensor.int32_data)
    values = np.frombuffer(tensor.raw_data, dtype)
    if listed:
        values = np.array(listed, dtype)
    return values.reshape(tuple(tensor.dims))


def _message(name: str):
    """The class of one of `_MESSAGES`."""
    file = descriptor_pb2.FileDescriptorProto(
        name="dfk_onnx.proto", package=_PACKAGE, syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for field, number, kind in fields:
            is_message = kind in _MESSAGES
            declared.field.add(
                name=field.strip("*"),
                number=number,
                label=kinds.LABEL_REPEATED
                if field.endswith("*")
                else kinds.LABEL_OPTIONAL,
                type=kinds.TYPE_MESSAGE
                if is_message
                else kinds.Type.Value(f"TYPE_{kind.upper()}"),
                type_name=f".{_PACKAGE}.{kind}" if is_message else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(found)
