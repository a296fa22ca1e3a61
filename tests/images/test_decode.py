import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dfk.images import decode, sizes
from dfk.images.orientation import _turn_as_tagged


@pytest.fixture
def image():
    smooth = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(smooth).resize((50, 40), Image.Resampling.BICUBIC)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_16_bit():
    levels = np.arange(0, 65536, 32, np.uint16)[:1600].reshape(40, 40)
    return tf.io.encode_png(levels[..., None]).numpy()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("L", "JPEG"),
        ("RGB", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("P", "PNG"),
        ("RGB", "BMP"),
        ("L", "BMP"),
        ("RGB", "WEBP"),
        ("RGBA", "WEBP"),
    ],
)
def test_every_format_becomes_rgb(image, mode, kind):
    converted = image.convert(mode)
    pixels = decode.decode(encoded(converted, kind), 32)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == tf.uint8
    expected = decode.center_crop_resize(np.array(converted.convert("RGB")), 32)
    difference = np.abs(pixels.numpy().astype(int) - expected.numpy())
    # JPEG and WebP lose some; a channel swapped or inverted differs by more.
    assert difference.mean() < 6


def test_16_bits_become_8():
    pixels = decode.decode(png_16_bit(), 40).numpy()
    assert pixels.min() == 0
    assert pixels.max() == 32 * 1599 // 256


def test_a_gif_is_refused_whatever_it_claims(image):
    gif = encoded(image.convert("P"), "GIF")
    with pytest.raises(tf.errors.InvalidArgumentError, match="refused"):
        decode.decode(gif, 32)
    assert "256 colours" in decode.why_unreadable(gif)


def test_an_animation_is_refused_undecoded(image):
    image.putalpha(128)
    later = [image.rotate(90), image.rotate(180)]
    webp = encoded(image, "WEBP", save_all=True, append_images=later)
    # Decoded, it would kill the process.
    assert sizes.claimed(tf.constant(webp)) < 0
    with pytest.raises(tf.errors.InvalidArgumentError, match="refused"):
        decode.decode(webp, 32)
    assert "an animation" in decode.why_unreadable(webp)


@pytest.mark.parametrize(
    "start", [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"RIFF1234WAVEVP8X"]
)
def test_only_the_formats_whose_size_is_known_are_decoded(start):
    # TensorFlow decodes JPEG XL as well, of any size.
    assert sizes.claimed(tf.constant(start + bytes(range(40)))) == 0


@pytest.mark.parametrize("height", [9000, -9000])
def test_a_bmp_claims_what_its_header_says(image, height):
    bmp = encoded(image, "BMP")
    assert sizes.claimed(tf.constant(bmp)) == 40 * 50
    sides = struct.pack("<ii", 8000, height)
    large = tf.constant(bmp[:18] + sides + bmp[26:])
    assert sizes.claimed(large) == -8000 * 9000


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_shows_white(image, kind):
    alpha = np.zeros(image.size[::-1], np.uint8)
    alpha[:, 10:20], alpha[:, 20:] = 51, 255
    image.putalpha(Image.fromarray(alpha))
    data = encoded(image, kind, lossless=True, exact=True)
    seen = decode.read(data).numpy()
    colours = np.asarray(image, float)[..., :3]
    np.testing.assert_array_equal(seen[:, :10], 255)
    expected = np.round(255 - (255 - colours[:, 10:20]) * 0.2)
    np.testing.assert_array_equal(seen[:, 10:20], expected)
    np.testing.assert_array_equal(seen[:, 20:], colours[:, 20:])


def test_a_transparent_colour_of_a_palette_shows_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (4, 0, 8, 8))
    seen = decode.read(encoded(image, "PNG", transparency=0)).numpy()
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[0, 7].tolist() == [0, 0, 200]


@pytest.mark.parametrize("size", [(90, 30), (30, 90)])
def test_the_centred_square_of_an_image_is_kept(size):
    image = Image.new("RGB", size, "red")
    left, top = (size[0] - 30) // 2, (size[1] - 30) // 2
    image.paste("blue", (left, top, left + 30, top + 30))
    pixels = decode.decode(encoded(image, "PNG"), 16).numpy()
    assert (pixels == [0, 0, 255]).all()


def test_a_decoded_image_stored_as_png_decodes_to_itself(image):
    pixels = decode.decode(encoded(image, "JPEG"), 24)
    again = decode.decode(tf.io.encode_png(pixels), 24)
    np.testing.assert_array_equal(again, pixels)


def test_reducing_is_antialiased():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    assert decode.center_crop_resize(stripes, 32).numpy().std() < 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_broken_bytes_are_an_error(image, kind):
    for data in (b"", b"no picture", encoded(image, kind)[:60]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode.decode(data, 32)


def test_a_palette_that_would_be_ignored_is_an_error(image):
    bmp = encoded(image.convert("P"), "BMP")
    assert tf.io.decode_image(bmp, channels=3).shape == (40, 50, 3)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode.decode(bmp, 32)


def webp_of(kind, width, height):
    """The header of a WebP of that size, of one of its three kinds."""
    first = {
        b"VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
        b"VP8L": b"\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14),
        b"VP8X": bytes(4)
        + struct.pack("<I", width - 1)[:3]
        + struct.pack("<I", height - 1)[:3],
    }[kind]
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + first


@pytest.mark.parametrize("kind", [b"VP8 ", b"VP8L", b"VP8X"])
def test_a_webp_claims_what_its_header_says(kind):
    webp = webp_of(kind, 9000, 12345)
    assert sizes.claimed(tf.constant(webp)) == -9000 * 12345
    with pytest.raises(tf.errors.InvalidArgumentError, match="refused"):
        decode.decode(webp, 32)


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"exif": b"Exif\0\0"}, {}]
)
def test_a_webp_is_measured_as_it_is_written(image, options):
    webp = tf.constant(encoded(image, "WEBP", **options))
    assert sizes.claimed(webp) == 40 * 50


def test_a_broken_image_leaves_its_batch_alone(image):
    good = encoded(image, "PNG")
    batch = tf.constant([b"", good, b"no picture", good])
    images, readable, reasons = tf.function(decode.decode_batch)(batch, 32)
    no = b"not a picture that can be decoded"
    assert reasons.numpy().tolist() == [no, b"", no, b""]
    assert readable.numpy().tolist() == [False, True, False, True]
    np.testing.assert_array_equal(images[0], np.zeros((32, 32, 3)))
    np.testing.assert_array_equal(images[1], decode.decode(good, 32))
    np.testing.assert_array_equal(images[1], images[3])


@pytest.mark.parametrize("data", [[], [b""], [b"no", b"pictures"]])
def test_a_batch_without_a_readable_image_is_no_error(data):
    batch = tf.constant(data, tf.string, [len(data)])
    images, readable, _ = decode.decode_batch(batch, 8)
    assert images.shape == (len(data), 8, 8, 3)
    assert not readable.numpy().any()


def claiming(data, kind, width, height):
    """An encoded image whose header claims another size."""
    place, form, sides = {
        "PNG": (16, ">II", (width, height)),
        "JPEG": (data.find(b"\xff\xc0") + 5, ">HH", (height, width)),
        "progressive": (data.find(b"\xff\xc2") + 5, ">HH", (height, width)),
    }[kind]
    header = struct.pack(form, *sides)
    return data[:place] + header + data[place + len(header) :]


@pytest.mark.parametrize(
    ("kind", "width", "height", "allowed"),
    [("PNG", 8192, 8193, 1 << 26), ("JPEG", 16384, 16385, 1 << 28)],
)
def test_an_image_of_too_many_pixels_is_refused_undecoded(
    image, kind, width, height, allowed
):
    data = encoded(image.convert("L"), kind)
    assert decode.decode(claiming(data, kind, 50, 40), 32).shape == (32, 32, 3)
    bomb = claiming(data, kind, width, height)
    with pytest.raises(tf.errors.InvalidArgumentError, match="refused"):
        decode.decode(bomb, 32)
    assert decode.why_unreadable(bomb) == (
        f"too large to be decoded: it has {width * height} pixels, and "
        f"{allowed} are allowed"
    )


def test_a_whole_image_of_too_many_pixels_is_unreadable_in_a_batch():
    # Of one colour, and so a few hundred kilobytes.
    bomb = encoded(Image.new("L", (8192, 8193)), "PNG", compress_level=1)
    _, readable, _ = decode.decode_batch(tf.constant([bomb]), 32)
    assert not readable.numpy().any()


def test_a_large_jpeg_is_decoded_at_half_its_size(image):
    # 72 million pixels.
    large = image.convert("L").resize((9000, 8000))
    data = encoded(large, "JPEG")
    assert decode.read(data).shape == (4000, 4500, 3)
    expected = decode.center_crop_resize(
        np.asarray(large.convert("RGB").reduce(2)), 32
    )
    seen = decode.decode(data, 32).numpy().astype(int)
    assert np.abs(seen - expected.numpy()).mean() < 2


def with_scan_of_one_component(data):
    """A JPEG whose first scan holds the first of three components."""
    start = data.find(b"\xff\xda")
    scan = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    return data[:start] + scan + data[start + 14 :]


@pytest.mark.parametrize("kind", ["progressive", "JPEG"])
def test_a_large_jpeg_that_cannot_be_decoded_by_rows_is_refused(image, kind):
    data = encoded(image, "JPEG", progressive=kind == "progressive")
    large = claiming(data, kind, 9000, 8000)
    if kind == "JPEG":
        assert sizes.claimed(tf.constant(large)) == 72_000_000
        large = with_scan_of_one_component(large)
    assert decode.why_unreadable(large).endswith(
        "72000000 pixels, and 67108864 are allowed"
    )


@pytest.mark.parametrize(("side", "scans"), [(8000, 99), (50, 1001)])
def test_a_jpeg_of_endless_scans_is_refused(image, side, scans):
    data = encoded(image, "JPEG", progressive=True)
    data = claiming(data, "progressive", side, side)
    assert sizes.claimed(tf.constant(data)) == side**2
    last = data[data.rfind(b"\xff\xda") : -2]
    endless = data[:-2] + scans * last + data[-2:]
    assert decode.why_unreadable(endless).startswith("a JPEG of too many scans")


def test_what_follows_a_jpeg_does_not_count(image):
    # Telephones append a film, in which any bytes can stand.
    photograph = encoded(image, "JPEG")
    film = b"\xff\xda" * 4_000
    np.testing.assert_array_equal(
        decode.read(photograph + film), decode.read(photograph)
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_bytes_from_python_are_traced_once(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [
        encoded(Image.new("L", (8, height)), kind, exif=exif)
        for height in range(8, 16)
    ]
    functions = (sizes._of_others, decode._unusual, _turn_as_tagged)
    decode.read(images[0])
    before = [f.experimental_get_tracing_count() for f in functions]
    for data in images:
        decode.read(data)
    assert [f.experimental_get_tracing_count() for f in functions] == before
