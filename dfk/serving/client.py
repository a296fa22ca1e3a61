"""Asking a model server about images, over gRPC and without TensorFlow."""

import grpc

from dfk.errors import UserError
from dfk.prediction.predictions import BATCH, Answer
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


class Client:
    """A detector behind a model server.

    Args:
        server: `host:port` of its gRPC port.
        model: the model's name in `models.config`.
        version: the version to ask; the highest if None.
        timeout: seconds that one request (of up to 32 images) may take.

    Example:
        >>> client = Client("localhost:8500", "facenet")
        >>> client.predict([open("face.jpg", "rb").read()])
        [Answer(fake_probability=0.93, verdict='fake', reason='')]
    """

    def __init__(
        self,
        server: str,
        model: str,
        version: int | None = None,
        timeout: float = 60.0,
    ):
        self.server = server
        self.model = model
        self.version = version
        self._asked_version = version
        self._timeout = timeout
        self._channel = grpc.insecure_channel(server, _OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self._channel.close()

    def predict(self, image_bytes: list[bytes]) -> list[Answer]:
        """Scores encoded images.

        Args:
            image_bytes: N encoded images; what is none is answered
                `unreadable`.

        Returns:
            N answers. `version` then is the version that gave them.

        Raises:
            UserError: no server, or not with this model or version, or no
                answer in time.
        """
        answers = []
        for start in range(0, len(image_bytes), BATCH):
            answers += self._predict(image_bytes[start : start + BATCH])
        return answers

    def _predict(self, image_bytes: list[bytes]) -> list[Answer]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        if self._asked_version is not None:
            request.model_spec.version.value = self._asked_version
        request.inputs["image_bytes"].CopyFrom(
            protobufs.from_strings(image_bytes)
        )
        try:
            response = self._prediction.Predict(request, self._timeout)
        except grpc.RpcError as error:
            raise self._explained(error) from error
        self.version = response.model_spec.version.value
        scores = protobufs.to_floats(response.outputs["fake_probability"])
        words, reasons = (
            protobufs.to_strings(response.outputs[name])
            for name in ("verdict", "reason")
        )
        return list(map(Answer, scores, words, reasons))

    def _explained(self, error: grpc.RpcError) -> UserError:
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return self._unavailable(error.details() or "")
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return UserError(
                    f"The server at {self.server} did not answer within "
                    f"{self._timeout:g} seconds: ask about fewer pictures at "
                    "once, or look at its load."
                )
            case grpc.StatusCode.NOT_FOUND:
                return self._not_found()
            case code:
                return UserError(
                    f"The server at {self.server} refused the request "
                    f"({code.name}: {error.details()}): check that its model "
                    f"{self.model!r} was exported by `python -m dfk.export`."
                )

    def _unavailable(self, details: str) -> UserError:
        if details.startswith(_UNREACHED):
            return UserError(
                f"No model server answers at {self.server}: start one with "
                "`python -m dfk.serve`, or pass --server=HOST:PORT."
            )
        return UserError(
            f"The server at {self.server} cannot answer now ({details}): ask "
            "again later, or about fewer pictures at once."
        )

    def _not_found(self) -> UserError:
        versions = self._available_versions()
        if not versions:
            return UserError(
                f"The server at {self.server} serves no model {self.model!r}: "
                "pass --model with a name that its models.config lists."
            )
        known = ", ".join(map(str, versions))
        return UserError(
            f"The server at {self.server} has no version "
            f"{self._asked_version} of {self.model!r}: pass --version with "
            f"one that it has ({known}), or leave it out."
        )

    def _available_versions(self) -> list[int]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.model
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
