"""The local stand-in for TensorFlow Serving, for development.

It answers PredictionService and ModelService over gRPC with the official
stubs, from the same `models.config` and version folders.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import grpc
from absl import logging

from dfk.errors import UserError
from dfk.serving import model_config
from dfk.serving.manager import Manager
from dfk.serving.model_service import ModelService
from dfk.serving.prediction_service import PredictionService
from dfk.serving.protobufs import (
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from dfk.serving.status import ServingError

# The model server's own: how often it looks for versions, its threads.
_POLL_SECONDS = 1.0
_THREADS = 4 * (os.cpu_count() or 1)
# How long requests that are being answered when it is told to stop may take.
_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Server:
    """A running stand-in.

    Args:
        port: where it listens; never 0.
        manager: its models.
    """

    port: int
    manager: Manager


@contextlib.contextmanager
def serving(
    config: str | Path,
    models_root: str | Path,
    host: str = "127.0.0.1",
    port: int = 8500,
) -> Iterator[Server]:
    """Serves the models of a `models.config` as long as the block runs.

    Its port opens when all models are available. New versions are found
    within a second. At the end of the block, requests that are being
    answered get two seconds.

    Args:
        config: a `models.config`; paths below `/models/` are looked up in
            `models_root`.
        models_root: the folder that the container sees as `/models`.
        host: the address to listen on.
        port: the port, or 0 for any free one.

    Yields:
        The running server.

    Raises:
        UserError: a model cannot be loaded, or the port is taken.

    Example:
        >>> with serving("serving/models.config", "saved_models", port=0) as s:
        ...     Client(f"localhost:{s.port}", "cnn").predict([image_bytes])
    """
    manager = Manager()
    try:
        configured = model_config.read(config)
        manager.reload(model_config.localise(configured, models_root))
    except ServingError as error:
        raise UserError(
            f"The models of {config} cannot be served "
            f"({error.code.name}: {error.message}): export them with `python "
            "-m dfk.export RUN`, or correct that file."
        ) from error
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS),
        # Images are large; a port in use must not be shared silently.
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(manager), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelService(manager, Path(models_root)), server
    )
    bound = _bind(server, host, port)
    stopped = threading.Event()
    poller = threading.Thread(
        target=_poll, args=(manager, stopped), name="poll", daemon=True
    )
    server.start()
    poller.start()
    try:
        yield Server(bound, manager)
    finally:
        stopped.set()
        server.stop(_GRACE_SECONDS).wait()


def _bind(server: grpc.Server, host: str, port: int) -> int:
    try:
        bound = server.add_insecure_port(f"{_address(host)}:{port}")
    except RuntimeError as error:
        raise UserError(
            f"Cannot listen on {host}:{port}, which may be in use: stop what "
            "listens there, or pass another --port."
        ) from error
    return bound


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


def _poll(manager: Manager, stopped: threading.Event) -> None:
    while not stopped.wait(_POLL_SECONDS):
        for problem in manager.poll():
            logging.warning("%s: %s", problem.code.name, problem.message)
