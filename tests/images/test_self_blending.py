import numpy as np
import pytest
from PIL import Image

from dfk.images.faces import Face
from dfk.images.self_blending import self_blend


@pytest.fixture
def pixels():
    coarse = np.random.default_rng(0).integers(40, 215, (12, 10, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((100, 120)))


@pytest.fixture
def face():
    points = ((38, 50), (62, 50), (50, 62), (41, 76), (59, 76))
    return Face((25, 30, 50, 60), 1.0, points)


def blends(pixels, face, count=20):
    return [
        self_blend(pixels, face, np.random.default_rng(seed))
        for seed in range(count)
    ]


def test_equal_seeds_give_equal_blends(pixels, face):
    first, second = (
        self_blend(pixels, face, np.random.default_rng(3)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.mask, second.mask)


def test_different_seeds_give_different_blends(pixels, face):
    images = {blend.image.tobytes() for blend in blends(pixels, face)}
    assert len(images) == 20


def test_only_the_mask_tells_a_blend_from_its_target(pixels, face):
    for blend in blends(pixels, face):
        outside = blend.mask == 0
        np.testing.assert_array_equal(
            blend.image[outside], blend.target[outside]
        )
        assert (blend.image != blend.target).any()


def test_the_mask_covers_the_face_and_fades_at_its_border(pixels, face):
    for blend in blends(pixels, face):
        assert blend.mask.shape == (120, 100)
        assert blend.mask.dtype == np.float32
        assert blend.mask[62, 50] > 0.9 * blend.mask.max()
        assert blend.mask[:15].max() < 0.02
        steps = np.abs(np.diff(blend.mask, axis=0))
        assert 0 < steps.max() < 0.8


def test_blends_are_opaque_or_translucent_as_published(pixels, face):
    ratios = {round(float(b.mask.max()), 3) for b in blends(pixels, face, 40)}
    assert ratios == {0.25, 0.5, 0.75, 1.0}


def test_the_target_is_the_photograph_in_about_half_of_the_blends(pixels, face):
    untouched = [
        np.array_equal(blend.target, pixels)
        for blend in blends(pixels, face, 40)
    ]
    assert 10 < sum(untouched) < 30


def test_blends_are_subtle(pixels, face):
    for blend in blends(pixels, face):
        change = np.abs(blend.image.astype(int) - blend.target)
        assert change.mean() < 12


@pytest.mark.parametrize(
    "box", [(-200, -300, 50, 60), (0, 0, 100, 120), (50, 60, 1, 1)]
)
def test_faces_outside_the_image_or_tiny_are_no_error(pixels, box):
    x, y, width, height = box
    points = ((x + width / 2, y + height / 2),) * 5
    blend = self_blend(pixels, Face(box, 1.0, points), np.random.default_rng(0))
    assert blend.image.shape == pixels.shape
    assert np.isfinite(blend.mask).all()
