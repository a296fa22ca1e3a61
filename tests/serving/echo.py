"""Servers that answer any request in one way, for tests of the client."""

import contextlib
import threading
import time
from concurrent import futures

import grpc
import tensorflow as tf

from dfk.serving.protobufs import predict_pb2


@contextlib.contextmanager
def answering(method, credentials=None):
    """A server that answers any request with a method; gives its address."""

    class Answering(grpc.GenericRpcHandler):
        def service(self, _):
            return grpc.unary_unary_rpc_method_handler(method)

    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(Answering(),))
    port = (
        server.add_secure_port("127.0.0.1:0", credentials)
        if credentials
        else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


class Echo:
    """A model whose answers are what it was sent, as a number.

    Args:
        slow: how long the answer to an image takes, in seconds.
    """

    def __init__(self, slow=lambda image: 0.0):
        self.requests, self.metadata = [], []
        self._slow, self._lock = slow, threading.Lock()
        self.running = self.most = 0

    def __call__(self, message, context):
        request = predict_pb2.PredictRequest.FromString(message)
        images = list(request.inputs["image_bytes"].string_val)
        with self._lock:
            self.metadata.append(dict(context.invocation_metadata()))
            self.requests.append(images)
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self._slow(images[0]))
        with self._lock:
            self.running -= 1
        response = predict_pb2.PredictResponse()
        response.model_spec.version.value = int(images[0])
        numbers = [float(image) for image in images]
        for name, values in {
            "fake_probability": numbers,
            "verdict": ["real"] * len(images),
            "reason": [""] * len(images),
        }.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(values))
        return response.SerializeToString()
