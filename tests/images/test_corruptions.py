"""Corruptions, level by level."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from dfk.images.corruptions import CORRUPTIONS

NAMES = pytest.mark.parametrize("name", CORRUPTIONS)
RANDOM = ("gaussian_noise", "shot_noise", "crop", "rotation", "screenshot")


@pytest.fixture(scope="module")
def image():
    flower = Image.fromarray(load_sample_image("flower.jpg"))
    return np.asarray(flower.crop((100, 0, 527, 427)).resize((96, 96)))


def test_the_grid_has_its_size_and_its_ends():
    levels = {name: c.levels for name, c in CORRUPTIONS.items()}
    assert all(3 <= len(row) <= 5 for row in levels.values())
    assert sum(map(len, levels.values())) == 42
    assert (levels["jpeg"][0], levels["jpeg"][-1]) == (95, 20)
    assert (levels["resize"][0], levels["resize"][-1]) == (0.9, 0.25)


@NAMES
def test_every_level_changes_more_than_the_one_before(name, image):
    corruption = CORRUPTIONS[name]
    errors = [0.0]
    for level in corruption.levels:
        corrupted = corruption.apply(image, level, "flower")
        assert (corrupted.shape, corrupted.dtype) == (image.shape, np.uint8)
        errors.append(np.mean((corrupted.astype(float) - image) ** 2))
    assert np.all(np.diff(errors) > 0), errors


@NAMES
def test_neither_order_nor_threads_change_what_happens(name, image):
    corruption = CORRUPTIONS[name]
    ids = [f"test/fake/{number}.png" for number in range(12)]

    def corrupt(id):
        return corruption.apply(image, corruption.levels[-1], id)

    with ThreadPoolExecutor(4) as threads:
        backwards = list(threads.map(corrupt, reversed(ids)))
    np.testing.assert_array_equal(backwards[::-1], [corrupt(id) for id in ids])
    different = len(np.unique(backwards, axis=0))
    if name == "rotation":
        assert different == 2
    else:
        assert different == (len(ids) if name in RANDOM else 1)


@pytest.mark.parametrize(("name", "form"), [("jpeg", "JPEG"), ("webp", "WEBP")])
def test_storing_is_pillows_own_round_trip(name, form, image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, quality=30)
    stored = CORRUPTIONS[name].apply(image, 30, "flower")
    np.testing.assert_array_equal(stored, Image.open(file))


def test_jpeg_keeps_one_colour_for_four_pixels(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=50, subsampling="4:2:0")
    stored = CORRUPTIONS["jpeg"].apply(image, 50, "flower")
    np.testing.assert_array_equal(stored, Image.open(file))


def test_noise_has_the_deviation_of_its_level():
    grey = np.full((96, 96, 3), 128, np.uint8)
    noisy = CORRUPTIONS["gaussian_noise"].apply(grey, 0.05, "grey")
    assert noisy.std() / 255 == pytest.approx(0.05, rel=0.03)
    grainy = CORRUPTIONS["shot_noise"].apply(grey, 200, "grey")
    # Poisson: the variance of a count is its mean.
    expected = np.sqrt(128 / 255 / 200)
    assert grainy.std() / 255 == pytest.approx(expected, rel=0.03)


def test_rotation_leaves_no_black_corners():
    white = np.full((64, 64, 3), 255, np.uint8)
    turned = CORRUPTIONS["rotation"].apply(white, 10, "white")
    assert turned.min() == 255


def test_a_crop_is_framed_from_within_the_image(image):
    same = CORRUPTIONS["crop"].apply(image, 1.0, "flower")
    np.testing.assert_array_equal(same, image)
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, 0)
    ramp = np.repeat(ramp, 3, 2)
    cropped = CORRUPTIONS["crop"].apply(ramp, 0.5, "ramp")
    assert np.ptp(cropped) == pytest.approx(32, abs=2)
