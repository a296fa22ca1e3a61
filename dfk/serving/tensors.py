"""`TensorProto` without TensorFlow: what a client sends and receives."""

import math
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
    """The words of a string tensor, in row-major order; packed or not.

    Packed, all lengths come first, as varints.
    """
    if not tensor.tensor_content:
        return [value.decode() for value in tensor.string_val]
    packed, start, lengths = tensor.tensor_content, 0, []
    for _ in range(math.prod(dim.size for dim in tensor.tensor_shape.dim)):
        length, start = _varint(packed, start)
        lengths.append(length)
    words = []
    for length in lengths:
        words.append(packed[start : start + length].decode())
        start += length
    return words


def _varint(packed: bytes, start: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and where what follows it starts."""
    value = shift = 0
    while True:
        byte = packed[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
