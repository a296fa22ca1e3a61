"""The state of a model's versions, as a model server tells it."""

import enum
from collections.abc import Sequence
from typing import NamedTuple

import grpc

from dfk.serving.failures import CODES
from dfk.serving.protobufs import (
    get_model_status_pb2,
    model_service_pb2_grpc,
)

_Message = get_model_status_pb2.ModelVersionStatus


class State(enum.IntEnum):
    """Where a version is in its life."""

    UNKNOWN = _Message.UNKNOWN
    START = _Message.START
    LOADING = _Message.LOADING
    AVAILABLE = _Message.AVAILABLE
    UNLOADING = _Message.UNLOADING
    END = _Message.END


class VersionStatus(NamedTuple):
    """One version of a model.

    Args:
        version: its number.
        state: where it is in its life.
        error: why it could not be loaded, with the name of the gRPC code
            first; else empty.
    """

    version: int
    state: State
    error: str


def model_status(
    channel: grpc.Channel,
    model: str,
    timeout: float,
    metadata: Sequence[tuple[str, str]] = (),
) -> list[VersionStatus]:
    """Asks a model server for all versions that it has had of a model.

    Args:
        channel: to the server.
        model: its name in `models.config`.
        timeout: seconds to wait.
        metadata: sent with the request.

    Returns:
        The versions, in the server's order.

    Raises:
        grpc.RpcError: no answer in time, or no such model.

    Example:
        >>> with grpc.insecure_channel("localhost:8500") as channel:
        ...     model_status(channel, "clip", timeout=1.0)
        [VersionStatus(version=3, state=<State.AVAILABLE: 30>, error='')]
    """
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    service = model_service_pb2_grpc.ModelServiceStub(channel)
    response = service.GetModelStatus(request, timeout, metadata)
    return [
        VersionStatus(each.version, State(each.state), _error(each.status))
        for each in response.model_version_status
    ]


def _error(status) -> str:
    if not status.error_code:
        return ""
    # A sentence is one line; a server's reason may be several.
    message = " ".join(status.error_message.split())
    code = CODES.get(status.error_code)
    return f"{code.name if code else status.error_code}: {message}"
