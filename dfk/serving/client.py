"""Asking a model server about images, over gRPC and without TensorFlow."""

import base64
import time
from collections.abc import Iterable

import grpc

from dfk.errors import UserError
from dfk.prediction.predictions import TEXTS, Score, to_scores
from dfk.prediction.predictor import Predictor
from dfk.serving import protobufs
from dfk.serving.channel import CHANNEL_OPTIONS, checked_metadata
from dfk.serving.failures import explained
from dfk.serving.model_status import State, VersionStatus, model_status
from dfk.serving.protobufs import predict_pb2, prediction_service_pb2_grpc

# So many bytes are sent as one request, but for a single image: of the requests
# that are under way at once, all are in memory.
_REQUEST_BYTES = 64 << 20
# A grey PNG of 8 x 8 pixels.
_SMALL_PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR42mNsYIAAJgaKGA"
    "AmCACQtTEKkQAAAABJRU5ErkJggg=="
)


class Client(Predictor):
    """A detector behind a model server.

    A server that is busy or starts again is asked up to five times, within the
    timeout. Of many images, several requests are under way at the same time.

    Args:
        address: `host:port` of the server's gRPC port.
        model: the model's name in `models.config`.
        version: the version to ask; the highest if None.
        timeout: seconds that one request (of up to 32 images) may take.
        label: the label of the version to ask, in place of its number.
        credentials: how the connection is encrypted, as
            `dfk.serving.channel.tls` or gRPC's own functions make them; not at
            all if None.
        metadata: names and values that are sent with each request, such as
            tokens.
        concurrency: so many requests are under way at once. More help where
            there are several servers; one with few cores only takes longer
            for each.

    Raises:
        UserError: both a version and a label, or metadata that gRPC does not
            send.

    Example:
        >>> with Client("localhost:8500", model="clip") as client:
        ...     [prediction] = client.predict(["face.jpg"])
        >>> prediction.verdict, prediction.version
        ('fake', 3)
    """

    batch_bytes = _REQUEST_BYTES

    def __init__(
        self,
        address: str,
        model: str = "clip",
        version: int | None = None,
        timeout: float = 60.0,
        *,
        label: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Iterable[tuple[str, str]] = (),
        concurrency: int = 2,
    ):
        if version is not None and label is not None:
            raise UserError(
                "A version is named by its number or by a label: pass one. "
                f"Received: version {version} and label {label!r}."
            )
        self.address = address
        self.name = model
        self.version = version
        self.concurrency = concurrency
        self._label = label
        self._timeout = timeout
        self._metadata = checked_metadata(metadata)
        # A server that has been there is waited for when it starts again.
        self._has_answered = False
        self._channel = (
            grpc.secure_channel(address, credentials, CHANNEL_OPTIONS)
            if credentials
            else grpc.insecure_channel(address, CHANNEL_OPTIONS)
        )
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
        [score] = self._score_batch([_SMALL_PICTURE])
        if score.version not in _available(self._statuses()):
            raise UserError(
                f"The server at {self.address} does not call version "
                f"{score.version} of {self.name!r} available: look into its "
                "log."
            )
        return score.version

    def _score_batch(self, image_bytes: list[bytes]) -> list[Score]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        if self.version is not None:
            request.model_spec.version.value = self.version
        if self._label is not None:
            request.model_spec.version_label = self._label
        request.inputs["image_bytes"].CopyFrom(
            protobufs.from_strings(image_bytes)
        )
        started = time.monotonic()
        try:
            response = self._prediction.Predict(
                request,
                self._timeout,
                self._metadata,
                wait_for_ready=self._has_answered,
            )
        except grpc.RpcError as error:
            code = error.code()
            if time.monotonic() - started >= self._timeout:
                # The server may have noticed first, and called it otherwise.
                code = grpc.StatusCode.DEADLINE_EXCEEDED
            details = " ".join((error.details() or "").split())
            raise self._explained(code, details) from error
        self._has_answered = True
        version = response.model_spec.version.value
        probabilities = protobufs.to_floats(
            response.outputs["fake_probability"]
        )
        texts = {
            name: protobufs.to_strings(response.outputs[name])
            for name in TEXTS
            if name in response.outputs
        }
        model = f"The model {self.name!r} of the server at {self.address}"
        return to_scores(model, len(image_bytes), probabilities, texts, version)

    def _explained(self, code: grpc.StatusCode, details: str) -> UserError:
        unknown_label = (
            self._label is not None
            and code == grpc.StatusCode.INVALID_ARGUMENT
            and "label" in details
        )
        if unknown_label or code == grpc.StatusCode.NOT_FOUND:
            return self._not_found()
        return explained(code, details, self.address, self.name, self._timeout)

    def _not_found(self) -> UserError:
        found = self._statuses()
        if not found:
            return UserError(
                f"The server at {self.address} serves no model {self.name!r}: "
                "pass --model with a name that its models.config lists."
            )
        versions = _available(found)
        if not versions:
            states = "; ".join(
                f"version {each.version}: {each.error or each.state.name}"
                for each in found
            )
            return UserError(
                f"No version of {self.name!r} answers at {self.address} "
                f"({states}): wait until it is loaded, or export its run again."
            )
        known = ", ".join(map(str, versions))
        if self._label is not None:
            return UserError(
                f"The server at {self.address} has no version of "
                f"{self.name!r} with the label {self._label!r}: pass --label "
                "with one that its models.config gives, or --version with a "
                f"version that it has ({known})."
            )
        return UserError(
            f"The server at {self.address} has no version "
            f"{self.version} of {self.name!r}: pass --version with "
            f"one that it has ({known}), or leave it out."
        )

    def _statuses(self) -> list[VersionStatus]:
        """Those of all versions; none if the server does not know the model."""
        try:
            return model_status(
                self._channel, self.name, self._timeout, self._metadata
            )
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return []
            raise explained(
                error.code(),
                error.details() or "",
                self.address,
                self.name,
                self._timeout,
            ) from error


def _available(found: Iterable[VersionStatus]) -> list[int]:
    return [each.version for each in found if each.state == State.AVAILABLE]
