"""Bytes that are no good image, over the wire, among ones that are."""

import io
import math
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from tiny import encode

from dfk.serving.client import Client
from dfk.serving.server import serving

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


def animation(frames):
    file = io.BytesIO()
    images = [Image.fromarray(np.roll(NOISE, i, 1)) for i in range(frames)]
    images[0].save(file, "gif", save_all=True, append_images=images[1:])
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
    "truncated GIF": animation(3)[:30],
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
    "GIF of 200 frames": animation(200),
    "JPEG with a tail": JPEG + b"\0<script>\0" * 50,
}


@pytest.fixture(scope="module")
def client(place):
    with (
        serving(
            place / "models.config", place / "saved_models", port=0
        ) as server,
        Client(f"localhost:{server.port}", "tiny") as client,
    ):
        yield client


@pytest.mark.parametrize("name", UNREADABLE)
def test_no_image_is_called_unreadable(client, name):
    (answer,) = client.score([UNREADABLE[name]])
    assert math.isnan(answer.fake_probability)
    assert answer.verdict == "unreadable"


@pytest.mark.parametrize("name", READABLE)
def test_an_unusual_image_is_scored(client, name):
    (answer,) = client.score([READABLE[name]])
    assert 0 <= answer.fake_probability <= 1
    assert answer.verdict in ("real", "fake", "uncertain")


def test_a_mixed_batch_is_answered_one_by_one(client):
    mixed = [*UNREADABLE.values(), *READABLE.values()]
    order = np.random.default_rng(5).permutation(len(mixed))
    answers = client.score([mixed[i] for i in order])
    for index, together in zip(order, answers, strict=True):
        (alone,) = client.score([mixed[index]])
        assert together.verdict == alone.verdict
        if together.verdict != "unreadable":
            assert together.fake_probability == pytest.approx(
                alone.fake_probability, abs=1e-6
            )
