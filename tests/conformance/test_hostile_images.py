"""Bytes that are no good image, over the wire, among ones that are."""

import io
import math
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from tensorflow_serving.apis import predict_pb2
from tiny import encode

from dfk.serving.protobufs import from_strings, to_floats, to_strings

NOISE = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)


def png_header(width, height):
    """A PNG that claims a size and holds next to no pixels."""

    def chunk(kind, data):
        body = kind + data
        size = struct.pack(">I", len(data))
        return size + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("face.txt", "no face")
    return file.getvalue()


def animation(kind, frames):
    file = io.BytesIO()
    images = [Image.fromarray(np.roll(NOISE, i, 1)) for i in range(frames)]
    images[0].save(file, kind, save_all=True, append_images=images[1:])
    return file.getvalue()


def tiff():
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "tiff")
    return file.getvalue()


JPEG = encode(NOISE, "jpeg")
UNREADABLE = {
    "empty": b"",
    "text": b"I am a face, believe me.",
    "one NUL byte": b"\0",
    "many NUL bytes": b"\0" * 4096,
    "zip": zipped(),
    "truncated JPEG": JPEG[: len(JPEG) // 4],
    "JPEG's first bytes": JPEG[:3],
    "truncated PNG": encode(NOISE)[:200],
    "huge PNG header": png_header(50_000, 50_000),
    "absurd PNG header": png_header(2**31 - 1, 2**31 - 1),
    "PNG of no size": png_header(0, 0),
    "PNG that ends early": png_header(64, 64),
    "truncated GIF": animation("gif", 3)[:30],
    "GIF of 200 frames": animation("gif", 200),
    "animated WebP": animation("webp", 3),
    "JPEG XL": b"\xff\x0a" + bytes(range(64)),
    "TIFF": tiff(),
    "HTML": b"<html><body>404 Not Found</body></html>",
}
READABLE = {
    "CMYK JPEG": encode(NOISE, "jpeg", "CMYK"),
    "grey JPEG": encode(NOISE, "jpeg", "L"),
    "RGBA PNG": encode(NOISE, "png", "RGBA"),
    "palette PNG": encode(NOISE, "png", "P"),
    "1 bit PNG": encode(NOISE, "png", "1"),
    "1x1 PNG": encode(NOISE[:1, :1]),
    "1x1 JPEG": encode(NOISE[:1, :1], "jpeg"),
    "one row": encode(NOISE[:1]),
    "BMP": encode(NOISE, "bmp"),
    "RGBA WebP": encode(NOISE, "webp", "RGBA"),
    "JPEG with a tail": JPEG + b"\0<script>\0" * 50,
}


@pytest.fixture(scope="session")
def predict(send):
    """From encoded images to each one's probability and verdict."""

    def predict(encoded):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "tiny"
        request.inputs["image_bytes"].CopyFrom(from_strings(encoded))
        outputs = send("Predict", request).outputs
        return list(
            zip(
                to_floats(outputs["fake_probability"]),
                to_strings(outputs["verdict"]),
                strict=True,
            )
        )

    return predict


@pytest.mark.parametrize("name", UNREADABLE)
def test_no_image_is_called_unreadable(predict, name):
    ((probability, verdict),) = predict([UNREADABLE[name]])
    assert math.isnan(probability)
    assert verdict == "unreadable"


@pytest.mark.parametrize("name", READABLE)
def test_an_unusual_image_is_scored(predict, name):
    ((probability, verdict),) = predict([READABLE[name]])
    assert 0 <= probability <= 1
    assert verdict in ("real", "fake", "uncertain")


def test_a_mixed_batch_is_answered_one_by_one(predict):
    mixed = [*UNREADABLE.values(), *READABLE.values()]
    order = np.random.default_rng(5).permutation(len(mixed))
    together = predict([mixed[i] for i in order])
    for index, in_batch in zip(order, together, strict=True):
        (single,) = predict([mixed[index]])
        assert in_batch[1] == single[1]
        assert in_batch[0] == pytest.approx(single[0], abs=1e-6, nan_ok=True)
