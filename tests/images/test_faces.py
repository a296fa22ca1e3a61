import io

import matplotlib.cbook
import numpy as np
import pytest
import tensorflow as tf
from mtcnn import MTCNN
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


@pytest.fixture(scope="module")
def found(pixels):
    """The only face that MTCNN finds in the photograph."""
    (found,) = faces.find_faces(pixels)
    return found


@pytest.fixture(scope="module")
def small(pixels):
    """The photograph at half its size, where the search is faster."""
    return np.array(Image.fromarray(pixels).resize((256, 300)))


def face(x, y, width, height):
    points = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    return Face(
        (x, y, width, height),
        1.0,
        tuple((x + a * width, y + b * height) for a, b in points),
    )


def test_the_face_of_a_photograph_is_found(found):
    x, y, width, height = found.box
    assert 0.8 < found.confidence <= 1
    # The tip of her nose, as read off the image.
    assert abs(x + width / 2 - 267) < 25
    assert abs(y + height / 2 - 235) < 25
    assert all(x < a < x + width for a, _ in found.keypoints)


def test_they_are_what_mtcnn_itself_finds(pixels, found):
    (answer,) = MTCNN().detect_faces(pixels)
    assert list(found.box) == answer["box"]
    assert found.confidence == pytest.approx(answer["confidence"], abs=1e-5)
    assert found.keypoints[2] == pytest.approx(answer["keypoints"]["nose"])


def test_two_faces_are_sorted_by_confidence(small):
    pair = np.zeros((300, 384, 3), np.uint8)
    pair[:150, :128] = np.array(Image.fromarray(small).resize((128, 150)))
    pair[:, 128:] = small
    both = faces.find_faces(pair)
    assert len(both) == 2
    assert both[0].confidence >= both[1].confidence


def test_a_face_in_a_shrunk_image_has_its_place_in_the_original(
    pixels, found, monkeypatch
):
    # As with a photograph of more than 1600 pixels, but faster.
    monkeypatch.setattr(faces, "_LARGEST", 300)
    (shrunk,) = faces.find_faces(pixels)
    assert shrunk != found
    tolerance = 0.1 * found.box[3]
    np.testing.assert_allclose(shrunk.box, found.box, atol=tolerance)
    np.testing.assert_allclose(shrunk.keypoints, found.keypoints, atol=15)


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


def test_a_wider_margin_makes_a_larger_crop():
    sides = [
        faces.crop_square(face(200, 200, 80, 100), 600, 600, margin)[2]
        for margin in (0.0, 0.5, 1.0)
    ]
    assert sides == [100, 150, 200]


def test_a_moved_face_keeps_its_shape():
    moved = face(30, 40, 50, 60).moved(-30, -40)
    assert moved.box == (0, 0, 50, 60)
    assert moved.keypoints == face(0, 0, 50, 60).keypoints


def test_crops_are_lossless(photograph, pixels, found, monkeypatch):
    monkeypatch.setattr(faces, "find_faces", lambda pixels: [found])
    ((cropped, crop),) = faces.face_crops(photograph)
    assert cropped == found
    expected = faces.crop_face(pixels, found)
    np.testing.assert_array_equal(decode.decode(crop, len(expected)), expected)


@pytest.mark.parametrize(
    ("shape", "side"),
    [((60, 60), 256), ((300, 400), 256), ((224, 224), 224), ((240, 260), 240)],
)
def test_crops_are_stored_as_training_faces_are(shape, side):
    ramp = np.linspace(0, 255, shape[0] * shape[1] * 3)
    image = Image.open(
        io.BytesIO(faces.stored_jpeg(ramp.reshape(*shape, 3).astype("uint8")))
    )
    assert image.format == "JPEG"
    assert min(image.size) == side
    assert image.width * shape[0] == pytest.approx(
        image.height * shape[1], rel=0.01
    )
    # Pillow's tables of quality 75, by which the training pictures are stored.
    default = io.BytesIO()
    Image.new("RGB", (8, 8)).save(default, "JPEG")
    assert image.quantization == Image.open(default).quantization


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_transparent_photographs_have_faces_too(small, mode):
    buffer = io.BytesIO()
    Image.fromarray(small).convert(mode).save(buffer, "PNG")
    assert len(faces.face_crops(buffer.getvalue())) == 1


def test_crops_of_no_image_are_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        faces.face_crops(b"no picture")
