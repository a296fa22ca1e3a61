"""The local stand-in for TensorFlow Serving, for development.

It answers over gRPC with the official stubs, from the same `models.config`
and folders of versions. `serving/README.md` says what it does not do.
"""

import contextlib
import functools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import grpc
from absl import logging

from dfk.errors import UserError
from dfk.serving.batching import max_batch_size
from dfk.serving.channel import MESSAGE_BYTES
from dfk.serving.model_manager import ModelManager
from dfk.serving.protobufs import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from dfk.serving.servable import ServingError, invalid, not_found

# The model server's own: how often it looks for versions, its threads.
_POLL_SECONDS = 1.0
_THREADS = 4 * (os.cpu_count() or 1)
# How long unfinished requests may take once it is told to stop.
_GRACE_SECONDS = 2.0
# gRPC sends an error's text in a header, which must not grow large.
_LONGEST_ERROR = 1024


@dataclass(frozen=True)
class Server:
    """A running stand-in.

    Args:
        port: where it listens; never 0.
        manager: its models.
    """

    port: int
    manager: ModelManager


@contextlib.contextmanager
def serving(
    config: str | Path,
    models_root: str | Path,
    host: str = "127.0.0.1",
    port: int = 8500,
) -> Iterator[Server]:
    """Serves the models of a `models.config` as long as the block runs.

    Its port opens when all models are available. New versions, and changes of
    `models.config`, are found within a second. At the end of the block,
    unfinished requests get two seconds.

    Args:
        config: a `models.config`; paths below `/models/` are looked up in
            `models_root`. A `batching.config` beside it limits the images of
            a request.
        models_root: the folder that the container sees as `/models`.
        host: the address to listen on.
        port: the port, or 0 for any free one.

    Yields:
        The running server.

    Raises:
        UserError: a model cannot be loaded, or the port is taken.

    Example:
        >>> with serving("serving/models.config", "saved_models", port=0) as s:
        ...     Client(f"localhost:{s.port}", "cnn").predict(["face.jpg"])
    """
    manager = ModelManager(config, models_root)
    problems = manager.refresh()
    if problems:
        raise UserError(
            f"The models of {config} cannot be served: {' '.join(problems)} "
            "Export them with `python -m dfk.export RUN`, or correct that "
            "file."
        )
    services = _Services(manager, max_batch_size(Path(config).parent))
    server = _grpc_server(services)
    bound = _bind(server, host, port)
    stopped = threading.Event()
    server.start()
    threading.Thread(
        target=_poll, args=(manager, stopped), name="poll", daemon=True
    ).start()
    try:
        yield Server(bound, manager)
    finally:
        stopped.set()
        server.stop(_GRACE_SECONDS).wait()


def _grpc_server(services: "_Services") -> grpc.Server:
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS),
        # Images are large; a port in use must not be shared silently.
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        services, server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(services, server)
    return server


def _bind(server: grpc.Server, host: str, port: int) -> int:
    try:
        return server.add_insecure_port(f"{_address(host)}:{port}")
    except RuntimeError as error:
        raise UserError(
            f"Cannot listen on {host}:{port}, which may be in use: stop what "
            "listens there, or pass another --port."
        ) from error


def _address(host: str) -> str:
    """One address of a host, the IPv4 one if it has any.

    Of a name that has several, gRPC is content if one is free, and another
    server may answer at the others.
    """
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), None, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"Cannot listen on {host!r} ({error}): pass --host with "
            "an address of this machine, such as 127.0.0.1 or 0.0.0.0."
        ) from error
    addresses = [address for *_, (address, *_) in found]
    return next((a for a in addresses if ":" not in a), f"[{addresses[0]}]")


def _poll(manager: ModelManager, stopped: threading.Event) -> None:
    """Refreshes the models every second, and logs each new problem once."""
    known = []
    while not stopped.wait(_POLL_SECONDS):
        try:
            problems = manager.refresh()
        except UserError as error:
            problems = [str(error)]
        for problem in problems:
            if problem not in known:
                logging.error("%s", problem)
        known = problems


def _answers(method: Callable) -> Callable:
    """Turns a method of a request into a gRPC method.

    It refuses a request that names no model, and answers a `ServingError`
    with its code.
    """

    @functools.wraps(method)
    def served(self, request, context: grpc.ServicerContext):
        try:
            if not request.HasField("model_spec"):
                raise invalid("The request has no model_spec.")
            if not request.model_spec.name:
                raise invalid("The request's model_spec names no model.")
            return method(self, request)
        except ServingError as error:
            return context.abort(error.code, error.message[:_LONGEST_ERROR])

    return served


class _Services(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Answers Predict, Classify, GetModelMetadata and GetModelStatus.

    The other methods of the two services are UNIMPLEMENTED.

    Args:
        manager: finds the version for a request.
        max_batch_size: the most images of a request; None for any number.
    """

    def __init__(self, manager: ModelManager, max_batch_size: int | None):
        self._manager = manager
        self._max_batch_size = max_batch_size

    @_answers
    def Predict(self, request):  # noqa: N802
        """Tensors in, tensors out."""
        servable = self._manager.find(request.model_spec)
        return servable.predict(request, self._max_batch_size)

    @_answers
    def Classify(self, request):  # noqa: N802
        """`tf.Example`s in, classes with scores out."""
        servable = self._manager.find(request.model_spec)
        return servable.classify(request, self._max_batch_size)

    @_answers
    def GetModelMetadata(self, request):  # noqa: N802
        """The signatures of a model."""
        if set(request.metadata_field) != {"signature_def"}:
            raise invalid(
                "metadata_field must be 'signature_def'. Received: "
                f"{list(request.metadata_field)}."
            )
        return self._manager.find(request.model_spec).metadata()

    @_answers
    def GetModelStatus(self, request):  # noqa: N802
        """The state of one version, or of all versions ever seen."""
        spec = request.model_spec
        model = self._manager.models.get(spec.name)
        seen = dict(model.versions) if model else {}
        if spec.HasField("version"):
            seen = {n: v for n, v in seen.items() if n == spec.version.value}
        if not seen:
            which = f" {spec.version.value}" if spec.HasField("version") else ""
            raise not_found(f"No version{which} of {spec.name} was ever seen.")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number in sorted(seen, reverse=True):
            version = seen[number]
            status = response.model_version_status.add(
                version=number, state=version.state
            )
            # Present, and empty where nothing is wrong.
            status.status.SetInParent()
            if version.error:
                status.status.error_code = version.error.code.value[0]
                status.status.error_message = version.error.message
        return response
