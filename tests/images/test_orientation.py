import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from dfk.images import decode
from dfk.images.orientation import orientation, turn

ORIENTATION = 0x0112


def make_image(kind="JPEG", value=None, **options):
    """An encoded gradient, in which every corner is another."""
    y, x = np.mgrid[0:40, 0:56]
    pixels = np.stack([4 * x, 6 * y, 255 - 2 * (x + y)], -1).astype(np.uint8)
    buffer = io.BytesIO()
    if value is not None:
        exif = Image.Exif()
        exif[0x010F] = "a maker whose name is stored elsewhere"
        exif[ORIENTATION] = value
        options["exif"] = exif
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def with_exif(tiff):
    """A JPEG with this Exif segment."""
    segment = b"Exif\0\0" + tiff
    start, rest = (data := make_image())[:2], data[2:]
    length = struct.pack(">H", len(segment) + 2)
    return start + b"\xff\xe1" + length + segment + rest


def tiff(order, entries, offset=8, count=None):
    form = {b"II*\0": "<", b"MM\0*": ">"}[order]
    count = len(entries) if count is None else count
    return (
        order
        + struct.pack(form + "I", offset)
        + struct.pack(form + "H", count)
        + b"".join(
            struct.pack(form + "HHIHxx", tag, kind, number, value)
            for tag, kind, number, value in entries
        )
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("value", range(1, 9))
def test_an_image_is_seen_as_a_viewer_shows_it(kind, value):
    data = make_image(kind, value)
    assert int(orientation(data)) == value
    seen = decode.read(data).numpy()
    with Image.open(io.BytesIO(data)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    assert seen.shape == shown.shape
    # Two decoders round differently.
    assert np.abs(seen.astype(int) - shown).max() <= 4


@pytest.mark.parametrize(
    "others",
    [
        [b"\xff\xe0" + b"\0\x10JFIF\0" + bytes(9)],
        [b"\xff\xe2\xff\xff" + bytes(0xFFFD)] * 3,
        [b"\xff\xe1\0\x08http\0\0", b"\xff\xfe\0\x08Exif\0\0"],
        [b"\xff\xff\xff"],
    ],
)
def test_exif_is_read_behind_other_segments(others):
    data = with_exif(tiff(b"II*\0", [(ORIENTATION, 3, 1, 6)]))
    behind = data[:2] + b"".join(others) + data[2:]
    assert int(orientation(behind)) == 6


def test_a_file_of_endless_segments_ends_the_search():
    data = b"\xff\xd8\xff" + b"\xe5\0\x02\xff" * 100_000
    assert int(orientation(data + b"Exif")) == 1


@pytest.mark.parametrize("order", [b"II*\0", b"MM\0*"])
def test_either_order_of_bytes_is_read(order):
    entries = [(0x0100, 3, 1, 40), (ORIENTATION, 3, 1, 6)]
    assert int(orientation(with_exif(tiff(order, entries)))) == 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_images_without_exif_are_upright(kind):
    assert int(orientation(make_image(kind))) == 1


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"no\0*" + tiff(b"MM\0*", [(ORIENTATION, 3, 1, 6)])[4:],
        tiff(b"II*\0", [(ORIENTATION, 3, 1, 0)]),
        tiff(b"II*\0", [(ORIENTATION, 3, 1, 9)]),
        tiff(b"II*\0", [(ORIENTATION, 4, 1, 6)]),
        tiff(b"II*\0", [(ORIENTATION, 3, 2, 6)]),
        tiff(b"II*\0", [(ORIENTATION, 3, 1, 6)], offset=2**32 - 8),
        tiff(b"II*\0", [(ORIENTATION, 3, 1, 6)], offset=2**31),
        tiff(b"II*\0", [(ORIENTATION, 3, 1, 6)], offset=60_000),
        tiff(b"II*\0", [(ORIENTATION, 3, 1, 6)], count=0),
        tiff(b"MM\0*", [], count=65_535),
    ],
)
def test_an_invalid_tag_is_ignored(exif):
    data = with_exif(exif)
    assert int(orientation(data)) == 1
    expected = decode.read(make_image()).numpy()
    np.testing.assert_array_equal(decode.read(data), expected)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 12, 20, 30])
def test_an_image_that_ends_early_has_no_orientation(length):
    data = with_exif(tiff(b"II*\0", [(ORIENTATION, 3, 1, 6)]))[:length]
    assert int(orientation(data)) == 1


def test_the_score_sees_the_turned_image():
    lying, batch = (
        make_image(value=6),
        tf.constant([make_image(value=6), b"no"]),
    )
    images, readable, _ = decode.decode_batch(batch, 32)
    expected = decode.center_crop_resize(
        turn(decode.read(make_image()), tf.constant(6)), 32
    )
    np.testing.assert_array_equal(images[0], expected)
    np.testing.assert_array_equal(decode.decode(lying, 32), expected)
    assert readable.numpy().tolist() == [True, False]
