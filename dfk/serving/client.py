"""Asking a model server about images, over gRPC and without TensorFlow."""

import grpc

from dfk.errors import UserError
from dfk.prediction.predictions import TEXTS, Predictor, Score, to_scores
from dfk.serving import protobufs
from dfk.serving.protobufs import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A model server is asked directly: a proxy would also catch localhost.
    ("grpc.enable_http_proxy", 0),
]
# How gRPC itself, in place of a server, begins to say what is unavailable.
_UNREACHED = ("failed to connect", "errors resolving", "DNS resolution failed")


class Client(Predictor):
    """A detector behind a model server.

    Args:
        address: `host:port` of the server's gRPC port.
        model: the model's name in `models.config`.
        version: the version to ask; the highest if None.
        timeout: seconds that one request (of up to 32 images) may take.

    Example:
        >>> with Client("localhost:8500", model="facenet") as client:
        ...     [prediction] = client.predict(["face.jpg"])
        >>> prediction.verdict, prediction.version
        ('fake', 3)
    """

    def __init__(
        self,
        address: str,
        model: str = "facenet",
        version: int | None = None,
        timeout: float = 60.0,
    ):
        self.address = address
        self.name = model
        # Later the version that answered last.
        self.version = version
        self._requested_version = version
        self._timeout = timeout
        self._channel = grpc.insecure_channel(address, _OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self._channel.close()

    def _score_batch(self, image_bytes: list[bytes]) -> list[Score]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        if self._requested_version is not None:
            request.model_spec.version.value = self._requested_version
        request.inputs["image_bytes"].CopyFrom(
            protobufs.from_strings(image_bytes)
        )
        try:
            response = self._prediction.Predict(request, self._timeout)
        except grpc.RpcError as error:
            raise self._explained(error) from error
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

    def _explained(self, error: grpc.RpcError) -> UserError:
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return self._unavailable(error.details() or "")
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return UserError(
                    f"The server at {self.address} did not answer within "
                    f"{self._timeout:g} seconds: ask about fewer pictures at "
                    "once, or check its load."
                )
            case grpc.StatusCode.NOT_FOUND:
                return self._not_found()
            case code:
                return UserError(
                    f"The server at {self.address} refused the request "
                    f"({code.name}: {error.details()}): check that its model "
                    f"{self.name!r} was exported by `python -m dfk.export`."
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
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.name
        service = model_service_pb2_grpc.ModelServiceStub(self._channel)
        try:
            response = service.GetModelStatus(request, self._timeout)
        except grpc.RpcError:
            return []
        available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
        return [
            status.version
            for status in response.model_version_status
            if status.state == available
        ]
