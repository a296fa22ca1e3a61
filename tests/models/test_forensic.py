"""The residuals that the forensic detector sees."""

import numpy as np

from dfk.models.forensic import HighPassResiduals, NeighbourResiduals


def _noise(shape=(1, 16, 16, 3)):
    return np.random.default_rng(0).uniform(100, 108, shape).astype("float32")


def test_neighbours_are_compared_with_the_first_of_their_block():
    images = _noise()
    residuals = NeighbourResiduals()(images).numpy() * 12
    np.testing.assert_allclose(residuals[:, ::2, ::2], 0, atol=1e-5)
    np.testing.assert_allclose(
        residuals[:, 1::2, ::2],
        images[:, 1::2, ::2] - images[:, ::2, ::2],
        atol=1e-4,
    )


def test_images_enlarged_without_interpolation_have_no_neighbour_residual():
    small = _noise((1, 8, 8, 3))
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    assert not NeighbourResiduals()(large).numpy().any()


def test_odd_sizes_pass():
    assert NeighbourResiduals()(_noise((1, 15, 17, 3))).shape == (1, 15, 17, 3)


def test_high_pass_filters_see_no_even_light_and_no_slope():
    slope = np.broadcast_to(
        np.arange(16.0)[None, None, :, None], (1, 16, 16, 3)
    )
    residuals = HighPassResiduals()(slope.astype("float32")).numpy()
    assert residuals.shape == (1, 16, 16, 9)
    np.testing.assert_allclose(residuals[:, 3:-3, 3:-3], 0, atol=1e-5)


def test_high_pass_filters_answer_a_single_bright_pixel_with_their_kernel():
    spot = np.zeros((1, 9, 9, 3), "float32")
    spot[0, 4, 4, 1] = 12.0
    green = HighPassResiduals()(spot).numpy()[0, :, :, 3:6]
    assert not HighPassResiduals()(spot).numpy()[..., :3].any()
    # The centres of the line, the 3 x 3 and the 5 x 5 filter.
    np.testing.assert_allclose(green[4, 4], [-1, -1, -1], atol=1e-6)
    np.testing.assert_allclose(green[4, 3], [0.5, 0.5, 8 / 12], atol=1e-6)
