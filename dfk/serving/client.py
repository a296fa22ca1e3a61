"""Asking a model server about images, over gRPC and without TensorFlow."""

import base64
import time

import grpc

from dfk.errors import UserError
from dfk.prediction.predictions import TEXTS, Score, to_scores
from dfk.prediction.predictor import Predictor
from dfk.serving import protobufs
from dfk.serving.channel import CHANNEL_OPTIONS
from dfk.serving.model_status import State, model_status
from dfk.serving.protobufs import predict_pb2, prediction_service_pb2_grpc

# How gRPC itself, in place of a server, begins to say what is unavailable.
_UNREACHED = ("failed to connect", "errors resolving", "DNS resolution failed")
# What the other codes say of the server, and what to do.
_ADVICE = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "did not answer within {seconds:g} "
    "seconds: ask about fewer pictures at once, pass a longer --timeout, or "
    "check its load.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "is too busy, or the request is too "
    "large: ask again later, or about fewer pictures at once, or raise its "
    "--grpc_max_threads.",
    grpc.StatusCode.INVALID_ARGUMENT: "does not accept the request: check that "
    "its model {model!r} was exported by `python -m dfk.export`, and that its "
    "batching takes 32 pictures at once.",
    grpc.StatusCode.FAILED_PRECONDITION: "has no signature for pictures: check "
    "that its model {model!r} was exported by `python -m dfk.export`.",
    grpc.StatusCode.UNIMPLEMENTED: "is no model server: pass --server with the "
    "gRPC address of one, not that of REST.",
    grpc.StatusCode.UNAUTHENTICATED: "asks who is calling: get credentials "
    "from its operator.",
    grpc.StatusCode.PERMISSION_DENIED: "does not let you ask: get the rights "
    "from its operator.",
    grpc.StatusCode.CANCELLED: "cancelled the request: ask again.",
    grpc.StatusCode.ABORTED: "gave the request up: ask again.",
}
_ELSE = "failed: look for the reason in its own log."
# A grey PNG of 8 x 8 pixels.
_SMALL_PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR42mNsYIAAJgaKGA"
    "AmCACQtTEKkQAAAABJRU5ErkJggg=="
)


class Client(Predictor):
    """A detector behind a model server.

    A server that is busy or starts again is asked up to five times, within the
    timeout.

    Args:
        address: `host:port` of the server's gRPC port.
        model: the model's name in `models.config`.
        version: the version to ask; the highest if None.
        timeout: seconds that one request (of up to 32 images) may take.

    Example:
        >>> with Client("localhost:8500", model="clip") as client:
        ...     [prediction] = client.predict(["face.jpg"])
        >>> prediction.verdict, prediction.version
        ('fake', 3)
    """

    def __init__(
        self,
        address: str,
        model: str = "clip",
        version: int | None = None,
        timeout: float = 60.0,
    ):
        self.address = address
        self.name = model
        # Later the version that answered last.
        self.version = version
        self._requested_version = version
        self._timeout = timeout
        # A server that has been there is waited for when it starts again.
        self._has_answered = False
        self._channel = grpc.insecure_channel(address, CHANNEL_OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self._channel.close()

    def check(self) -> int:
        """Asks whether the model answers, as a health check does.

        An open port is not enough: a server whose threads all wait still
        accepts connections. So the model's state is asked for, and a small
        picture is sent.

        Returns:
            The version that answered.

        Raises:
            UserError: no version is available, or none answers in time.

        Example:
            >>> with Client("localhost:8500", timeout=3.0) as client:
            ...     client.check()
            3
        """
        self._score_batch([_SMALL_PICTURE])
        if self.version not in self._available_versions():
            raise UserError(
                f"The server at {self.address} does not call version "
                f"{self.version} of {self.name!r} available: look into its log."
            )
        return self.version

    def _score_batch(self, image_bytes: list[bytes]) -> list[Score]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        if self._requested_version is not None:
            request.model_spec.version.value = self._requested_version
        request.inputs["image_bytes"].CopyFrom(
            protobufs.from_strings(image_bytes)
        )
        started = time.monotonic()
        try:
            response = self._prediction.Predict(
                request, self._timeout, wait_for_ready=self._has_answered
            )
        except grpc.RpcError as error:
            code = error.code()
            if time.monotonic() - started >= self._timeout:
                # The server may have noticed first, and called it otherwise.
                code = grpc.StatusCode.DEADLINE_EXCEEDED
            details = " ".join((error.details() or "").split())
            raise self._explained(code, details) from error
        self._has_answered = True
        self.version = response.model_spec.version.value
        probabilities = protobufs.to_floats(
            response.outputs["fake_probability"]
        )
        texts = {
            name: protobufs.to_strings(response.outputs[name])
            for name in TEXTS
            if name in response.outputs
        }
        model = f"The model {self.name!r} of the server at {self.address}"
        return to_scores(model, len(image_bytes), probabilities, texts)

    def _explained(self, code: grpc.StatusCode, details: str) -> UserError:
        match code:
            case grpc.StatusCode.UNAVAILABLE:
                return self._unavailable(details)
            case grpc.StatusCode.NOT_FOUND:
                return self._not_found()
        advice = _ADVICE.get(code, _ELSE).format(
            seconds=self._timeout, model=self.name
        )
        return UserError(
            f"The server at {self.address} {advice} Received: {code.name}"
            f"{details and ': '}{details}"
        )

    def _unavailable(self, details: str) -> UserError:
        if details.startswith(_UNREACHED):
            return UserError(
                f"No model server answers at {self.address}: start one with "
                "`python -m dfk.serve`, or pass --server=HOST:PORT."
            )
        return UserError(
            f"The server at {self.address} cannot answer now ({details}): ask "
            "again later, or about fewer pictures at once."
        )

    def _not_found(self) -> UserError:
        versions = self._available_versions()
        if not versions:
            return UserError(
                f"The server at {self.address} serves no model {self.name!r}: "
                "pass --model with a name that its models.config lists."
            )
        known = ", ".join(map(str, versions))
        return UserError(
            f"The server at {self.address} has no version "
            f"{self._requested_version} of {self.name!r}: pass --version with "
            f"one that it has ({known}), or leave it out."
        )

    def _available_versions(self) -> list[int]:
        try:
            found = model_status(self._channel, self.name, self._timeout)
        except grpc.RpcError:
            return []
        return [each.version for each in found if each.state == State.AVAILABLE]
