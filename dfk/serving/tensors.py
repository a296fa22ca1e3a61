"""`TensorProto` without TensorFlow: what a client sends and receives."""

import struct

from dfk.serving.stubs import tensor_pb2, types_pb2


def from_strings(values: list[bytes]) -> tensor_pb2.TensorProto:
    """A string tensor `[N]`.

    Args:
        values: N byte strings.
    """
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING, string_val=values
    )
    tensor.tensor_shape.dim.add(size=len(values))
    return tensor


def to_floats(tensor: tensor_pb2.TensorProto) -> list[float]:
    """The numbers of a float32 tensor, in row-major order.

    Servers send them one by one, or packed when started with
    `--enable_serialization_as_tensor_content`.
    """
    if tensor.tensor_content:
        count = len(tensor.tensor_content) // 4
        return list(struct.unpack(f"<{count}f", tensor.tensor_content))
    return list(tensor.float_val)


def to_strings(tensor: tensor_pb2.TensorProto) -> list[str]:
    """The words of a string tensor, in row-major order."""
    return [value.decode() for value in tensor.string_val]
