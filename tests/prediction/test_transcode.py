"""Images that a detector does not read as they are."""

import io
import sys

import numpy as np
import PIL.Image
import pillow_heif
import pytest
from PIL import ImageCms

from dfk.images import decode
from dfk.prediction.inputs import encoded
from dfk.prediction.transcode import transcoded

pillow_heif.register_heif_opener()
SMOOTH = np.linspace(0, 255, 64 * 48 * 3).reshape(64, 48, 3).astype("uint8")


def saved(form, image=None, **options):
    file = io.BytesIO()
    image = image or PIL.Image.fromarray(SMOOTH)
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
def test_what_telephones_store_is_read(form):
    _, data, _, note = encoded(saved(form, quality=95))
    assert note == f"read from {'HEIC' if form == 'HEIF' else form}"
    pixels = decode.read(data).numpy()
    assert np.abs(pixels.astype(int) - SMOOTH).mean() < 5


def test_it_is_turned_upright():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    data = encoded(saved("AVIF", exif=exif.tobytes(), quality=95)).data
    assert decode.read(data).shape == (48, 64, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_what_is_read_as_it_is_stays_so(form):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for options in ({}, {"icc_profile": srgb}, {"icc_profile": b"broken"}):
        data = saved(form, **options)
        assert transcoded(data).data is data
        assert transcoded(data).note is None


def wide_gamut():
    """A profile like sRGB's, but with red and green exchanged."""
    profile = bytearray(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace(
        "sRGB".encode("utf-16-be"), "wide".encode("utf-16-be")
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_other_colours_become_srgb(form):
    red = PIL.Image.new("RGB", (32, 32), (255, 0, 0))
    data = saved(form, red, icc_profile=wide_gamut())
    for image in (data, PIL.Image.open(io.BytesIO(data))):
        pixels = decode.read(encoded(image).data).numpy()
        np.testing.assert_allclose(pixels[16, 16], [0, 255, 0], atol=6)
    assert encoded(data).note == "colours converted to sRGB"


def test_a_profile_that_does_not_fit_changes_nothing():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    data = saved("PNG", icc_profile=lab)
    assert transcoded(data) == (data, None)
    with PIL.Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(
            decode.read(encoded(image).data).numpy(), SMOOTH
        )


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_read_and_that_is_said(form):
    others = [
        PIL.Image.fromarray(255 - SMOOTH),
        PIL.Image.fromarray(SMOOTH // 2),
    ]
    lossless = {"lossless": True} if form == "WEBP" else {}
    data = saved(form, save_all=True, append_images=others, **lossless)
    _, readable, error, note = encoded(data)
    assert (error, note) == (None, "the first of 3 frames")
    assert np.array_equal(decode.read(readable).numpy(), SMOOTH)


def test_heic_without_its_reader_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    name, data, error, _ = encoded(saved("HEIF"))
    assert (name, data) == (None, b"")
    assert "pip install pillow-heif" in error


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_damaged_one_is_an_error(form, share):
    data = saved(form)
    assert "cannot be decoded" in encoded(data[: int(share * len(data))]).error


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
def test_so_is_one_with_other_bytes_in_it(form):
    data = bytearray(saved(form))
    # The end is the compressed picture itself.
    data[-100:-20] = bytes(80)
    readable = encoded(bytes(data))
    assert readable.error is None or "cannot be decoded" in readable.error
