"""The official TensorFlow Serving stubs, without the wait for TensorFlow.

`tensorflow_serving.apis` needs a few message classes that lie in TensorFlow's
folder, and importing those the usual way starts all of TensorFlow: 3 seconds
for a client that only sends bytes. The message classes themselves need
nothing but protobuf, so they are imported here from below an empty parent
package, which is taken away again. A later `import tensorflow` is the real
one and shares these very message classes.

Example:
    >>> from dfk.serving.stubs import predict_pb2
    >>> request = predict_pb2.PredictRequest()
"""

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator


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


with _messages_only():
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_log_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )
    from tensorflow_serving.config import model_server_config_pb2

__all__ = [
    "classification_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "inference_pb2",
    "input_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_log_pb2",
    "prediction_service_pb2_grpc",
    "regression_pb2",
    "tensor_pb2",
    "types_pb2",
]
