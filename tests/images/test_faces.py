import io

import matplotlib.cbook
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dfk.images import decode, faces
from dfk.images.faces import Face


@pytest.fixture(scope="module")
def photograph():
    """Rear Admiral Grace Hopper, as matplotlib brings her along."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return file.read()


@pytest.fixture(scope="module")
def pixels(photograph):
    return tf.io.decode_image(photograph, channels=3).numpy()


def face(x, y, width, height):
    points = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    return Face(
        (x, y, width, height),
        1.0,
        tuple((x + a * width, y + b * height) for a, b in points),
    )


def test_the_face_of_a_photograph_is_found(pixels):
    (found,) = faces.find_faces(pixels)
    x, y, width, height = found.box
    assert 0.8 < found.confidence <= 1
    # The tip of her nose, as read off the image.
    assert abs(x + width / 2 - 267) < 25
    assert abs(y + height / 2 - 235) < 25
    assert all(x < a < x + width for a, _ in found.keypoints)


def test_two_faces_are_sorted_by_confidence(pixels):
    small = np.array(Image.fromarray(pixels).resize((256, 300)))
    pair = np.zeros((600, 768, 3), np.uint8)
    pair[:, :512], pair[:300, 512:] = pixels, small
    found = faces.find_faces(pair)
    assert len(found) == 2
    assert found[0].confidence >= found[1].confidence


def test_a_huge_image_gives_the_same_face(pixels):
    huge = np.array(Image.fromarray(pixels).resize((2560, 3000)))
    (found,) = faces.find_faces(huge)
    (small,) = faces.find_faces(pixels)
    np.testing.assert_allclose(
        np.array(found.box) / 5, small.box, atol=0.1 * small.box[3]
    )
    np.testing.assert_allclose(
        np.array(found.keypoints) / 5, small.keypoints, atol=15
    )


@pytest.mark.parametrize("size", [(1, 1), (5, 900), (12, 12), (64, 64)])
def test_images_without_a_face_give_none(size):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert faces.find_faces(noise) == []
    assert faces.find_faces(np.zeros_like(noise)) == []


def test_a_crop_holds_the_whole_head(pixels):
    crop = faces.crop_face(pixels, face(180, 110, 160, 200))
    assert crop.shape == (272, 272, 3)


@pytest.mark.parametrize(
    "box",
    [
        (-30, -20, 60, 80),
        (480, 560, 60, 80),
        (-900, 9000, 10, 20),
        (100, 100, 5000, 9000),
        (10, 10, 0, 0),
    ],
)
def test_a_crop_is_square_and_inside_the_image(pixels, box):
    left, top, side = faces.crop_square(face(*box), 600, 512)
    assert 0 <= left <= 512 - side
    assert 0 <= top <= 600 - side
    assert faces.crop_face(pixels, face(*box)).shape == (side, side, 3)
    assert side >= 1


def test_a_wider_margin_cuts_more():
    sides = [
        faces.crop_square(face(200, 200, 80, 100), 600, 600, margin)[2]
        for margin in (0.0, 0.5, 1.0)
    ]
    assert sides == [100, 150, 200]


def test_a_moved_face_keeps_its_shape():
    moved = face(30, 40, 50, 60).moved(-30, -40)
    assert moved.box == (0, 0, 50, 60)
    assert moved.keypoints == face(0, 0, 50, 60).keypoints


def test_crops_are_lossless(photograph, pixels):
    ((found, crop),) = faces.face_crops(photograph)
    expected = faces.crop_face(pixels, found)
    np.testing.assert_array_equal(decode.decode(crop, len(expected)), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_transparent_photographs_have_faces_too(pixels, mode):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    assert len(faces.face_crops(buffer.getvalue())) == 1


def test_crops_of_no_image_are_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        faces.face_crops(b"no picture")
