"""What may be handed in as images."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from dfk.errors import UserError
from dfk.images import decode
from dfk.prediction.inputs import each, encoded

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), "uint8")


def as_png(pixels):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(as_png(PIXELS))
    return path


KINDS = {
    "text": str,
    "path": Path,
    "bytes": lambda path: path.read_bytes(),
    "more bytes": lambda path: bytearray(path.read_bytes()),
    "file": lambda path: path.open("rb"),
    "buffer": lambda path: io.BytesIO(path.read_bytes()),
    "pillow": PIL.Image.open,
    "array": lambda _: PIXELS,
    "floats": lambda _: PIXELS.astype("float32"),
    "read-only": lambda path: np.asarray(PIL.Image.open(path)),
    "a view": lambda _: np.ascontiguousarray(PIXELS[:, ::-1])[:, ::-1],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_has_its_pixels(path, kind):
    (image,) = each(KINDS[kind](path))
    name, data, error, _ = encoded(image)
    assert error is None
    np.testing.assert_array_equal(decode.read(data), PIXELS)
    has_name = kind in ("text", "path", "file", "pillow")
    assert name == (str(path) if has_name else None)


def test_many_images_come_one_by_one(path):
    batch = np.stack([PIXELS, PIXELS[::-1]])
    assert [len(image) for image in each(batch)] == [9, 9]
    assert next(iter(each([str(path), batch[0]]))) == str(path)
    assert list(each(str(number) for number in range(3))) == ["0", "1", "2"]
    assert list(each([])) == []


def test_an_image_of_pillow_is_turned_upright_and_keeps_its_alpha():
    image = PIL.Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    turned = decode.read(encoded(PIL.Image.open(file)).data)
    np.testing.assert_array_equal(turned, np.rot90(PIXELS, -1))
    clear = PIL.Image.new("LA", (4, 4), (0, 0))
    assert np.all(decode.read(encoded(clear).data) == 255)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (PIXELS.transpose(2, 0, 1), "channels last.*shape .3, 9, 7"),
        (PIXELS[..., 0], "channels last.*shape .9, 7"),
        (PIXELS / 255, "0..255.*float64 from 0.0 to 0.97"),
        (PIXELS - 128.0, "0..255.*from -128.0"),
        (np.full((4, 4, 3), np.nan), "0..255.*nan"),
        (PIXELS[:0], "without pixels"),
        (7, "Received: int"),
        (None, "Received: NoneType"),
        (["face.jpg", 7], "Received: int"),
        (io.StringIO("text"), "mode 'rb'"),
    ],
)
def test_what_is_no_image_is_an_error_not_a_guess(image, message):
    with pytest.raises(UserError, match=message):
        list(map(encoded, each(image)))


def test_a_name_that_no_file_can_have_is_an_error_of_the_image():
    assert "cannot be opened" in encoded("a\0b").error


def test_what_cannot_be_read_is_an_error_of_its_own(path):
    broken = PIL.Image.open(io.BytesIO(path.read_bytes()[:60]))
    closed = path.open("rb")
    closed.close()
    for image in (broken, closed):
        assert encoded(image).error.startswith("cannot be opened: ")
