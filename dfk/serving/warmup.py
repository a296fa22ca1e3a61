"""Requests that are run before a model is called available.

The first request to a fresh graph is slow. A model server runs the records
in `assets.extra/tf_serving_warmup_requests` when it loads a version, so that
no caller waits for that.
"""

from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError

from dfk.serving.protobufs import classification_pb2, predict_pb2
from dfk.serving.protobufs import prediction_log_pb2 as log
from dfk.serving.servable import (
    Servable,
    ServingError,
    from_tensorflow,
    invalid,
)

FILE = Path("assets.extra", "tf_serving_warmup_requests")


def write(saved_model: Path, name: str, image_size: int) -> None:
    """Writes warm-up requests for each signature of an exported detector.

    Args:
        saved_model: the folder with `saved_model.pb`.
        name: the model's name.
        image_size: the side of the images it takes, in pixels.
    """
    images = pictures(image_size)
    pixels = tf.zeros([1, image_size, image_size, 3])
    records = [
        _predict(name, "serving_default", "image_bytes", images),
        _predict(name, "images", "images", pixels),
        _predict(name, "embed", "image_bytes", images),
        _classify(name, images),
    ]
    file = saved_model / FILE
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record.SerializeToString())


def replay(servable: Servable) -> None:
    """Runs a version's warm-up requests, if it has any.

    Raises:
        ServingError: a request fails, which makes the load fail.
    """
    file = servable.path / FILE
    try:
        if not file.is_file():
            return
        for serialized in tf.data.TFRecordDataset(str(file)):
            record = log.PredictionLog.FromString(serialized.numpy())
            match record.WhichOneof("log_type"):
                case "predict_log":
                    servable.predict(record.predict_log.request)
                case "classify_log":
                    servable.classify(record.classify_log.request)
                case kind:
                    raise ServingError(
                        grpc.StatusCode.UNIMPLEMENTED,
                        f"{file} holds a {kind}, which is not replayed here.",
                    )
    except DecodeError as error:
        raise invalid(f"{file} holds what is no PredictionLog.") from error
    except tf.errors.OpError as error:
        raise from_tensorflow(error) from error
    except OSError as error:
        raise ServingError(
            grpc.StatusCode.PERMISSION_DENIED,
            f"{file} cannot be read ({error.strerror}).",
        ) from error


def pictures(side: int) -> list[bytes]:
    """A JPEG and a PNG of a colour gradient, so many pixels wide and high."""
    ramp = tf.linspace(0.0, 255.0, side)
    across, down = tf.meshgrid(ramp, ramp)
    gradient = tf.stack([across, down, 255.0 - across], axis=-1)
    pixels = tf.cast(gradient, tf.uint8)
    encoded = [tf.io.encode_jpeg(pixels), tf.io.encode_png(pixels)]
    return [image.numpy() for image in encoded]


def _predict(name, signature, input_name, value) -> log.PredictionLog:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    request.inputs[input_name].CopyFrom(tf.make_tensor_proto(value))
    return log.PredictionLog(predict_log=log.PredictLog(request=request))


def _classify(name: str, images: list[bytes]) -> log.PredictionLog:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = "classify"
    for image in images:
        example = request.input.example_list.examples.add()
        encoded = example.features.feature["image/encoded"]
        encoded.bytes_list.value.append(image)
    return log.PredictionLog(classify_log=log.ClassifyLog(request=request))
