"""TensorFlow Serving's messages and stubs, and tensors, without TensorFlow.

`tensorflow_serving.apis` needs a few message classes that lie in TensorFlow's
folder, and importing those the usual way starts all of TensorFlow: 3 seconds
for a client that only sends bytes. The message classes themselves need
nothing but protobuf. So they are imported here from an empty parent package,
which is removed afterwards. A later `import tensorflow` is the real one and
shares these very message classes.

Example:
    >>> from dfk.serving.protobufs import from_strings, predict_pb2
    >>> request = predict_pb2.PredictRequest()
    >>> request.inputs["image_bytes"].CopyFrom(from_strings([image_bytes]))
"""

import contextlib
import importlib.util
import math
import struct
import sys
import types
from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import FileDescriptorSet


@contextlib.contextmanager
def _messages_only() -> Iterator[None]:
    """Lets `tensorflow.core.*` be imported without TensorFlow itself."""
    if "tensorflow" in sys.modules:
        yield
        return
    package = types.ModuleType("tensorflow")
    spec = importlib.util.find_spec("tensorflow")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = package
    try:
        yield
    finally:
        del sys.modules["tensorflow"]


# Others import these from here.
with _messages_only():
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow_serving.apis import (  # noqa: F401
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_pb2,
        model_service_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_log_pb2,
        prediction_service_pb2,
        prediction_service_pb2_grpc,
    )
    from tensorflow_serving.config import model_server_config_pb2  # noqa: F401


def descriptor_set() -> bytes:
    """What clients that compile no `.proto` need to know of the messages.

    TensorFlow Serving has no gRPC reflection, so grpcurl and buf take this as
    a file.

    Returns:
        A serialized `FileDescriptorSet` of PredictionService and ModelService,
        each file after those that it imports.

    Example:
        >>> Path("serving.protoset").write_bytes(descriptor_set())
    """
    found = {}

    def add(file):
        for imported in file.dependencies:
            add(imported)
        found.setdefault(file.name, file)

    for service in (prediction_service_pb2, model_service_pb2):
        add(service.DESCRIPTOR)
    files = FileDescriptorSet()
    for file in found.values():
        file.CopyToProto(files.file.add())
    return files.SerializeToString()


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
    """The strings of a string tensor, in row-major order; packed or not.

    In packed form all lengths come first, as varints. What is not in UTF-8
    is replaced.
    """
    if not tensor.tensor_content:
        return [value.decode(errors="replace") for value in tensor.string_val]
    packed, start, lengths = tensor.tensor_content, 0, []
    for _ in range(math.prod(dim.size for dim in tensor.tensor_shape.dim)):
        length, start = _varint(packed, start)
        lengths.append(length)
    strings = []
    for length in lengths:
        packed_string = packed[start : start + length]
        strings.append(packed_string.decode(errors="replace"))
        start += length
    return strings


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
