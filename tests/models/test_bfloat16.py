import keras
import numpy as np
from tiny import SIZE, build_tiny

from dfk import models
from dfk.models.bfloat16 import in_bfloat16
from dfk.models.clip import image_tower
from dfk.models.combination import combine, detector_part
from dfk.models.head import assemble

PIXELS = np.random.default_rng(0).uniform(0, 255, (8, SIZE, SIZE, 3))


def rounded(model):
    """The layers that multiply in bfloat16."""
    return [
        layer for layer in model.layers if layer.compute_dtype == "bfloat16"
    ]


def assert_rounded(detector, reduced):
    """Nearly the same scores, but not the same: 8 bits are left of 24."""
    expected = detector(PIXELS, training=False).numpy()
    found = reduced(PIXELS, training=False).numpy()
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.02


def test_only_products_of_maps_are_rounded():
    detector = build_tiny()
    reduced = in_bfloat16(detector)
    _, second = (
        layer
        for layer in reduced.layers
        if isinstance(layer, keras.layers.Conv2D)
    )
    assert rounded(reduced) == [second]
    assert {weight.dtype for weight in reduced.weights} == {"float32"}
    assert_rounded(detector, reduced)
    assert (
        models.score_layer(reduced).calibration
        == models.score_layer(detector).calibration
    )


def test_attention_is_rounded_but_not_what_is_added_up():
    keras.utils.set_random_seed(3)
    detector = assemble(
        "tower",
        SIZE,
        lambda x: [image_tower(x, 16, 2, 1, 8)[0][0][:, None]],
        averages_flips=False,
    )
    reduced = in_bfloat16(detector)
    assert [layer.name for layer in rounded(reduced)] == [
        "block1_attention",
        "block1_fc1",
        "block1_fc2",
    ]
    assert reduced.get_layer("block1_attention").qkv.compute_dtype == "bfloat16"
    assert_rounded(detector, reduced)


def test_the_parts_of_a_combination_are_rounded():
    parts = [detector_part(f"part{n}", build_tiny(n)) for n in (1, 2)]
    detector = combine(parts, [1.0, 2.0], 0.1, "combination")
    reduced = in_bfloat16(detector)
    assert_rounded(detector, reduced)
