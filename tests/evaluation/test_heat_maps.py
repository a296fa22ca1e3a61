import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from dfk import models
from dfk.errors import UserError
from dfk.evaluation.heat_maps import heat_maps
from dfk.images.faces import Face
from dfk.images.self_blending import self_blend
from dfk.models.combination import Part, combine, detector_part
from dfk.models.forensic import HighPassResiduals
from dfk.models.from_sklearn import BoostedTrees
from dfk.models.head import assemble

SIDE = 64
FAKES = ["fake"] * 3


def image(rng):
    """A smooth image with the noise of a camera."""
    coarse = rng.integers(50, 206, (6, 6, 3), np.uint8)
    image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.BICUBIC)
    noisy = np.asarray(image) + rng.normal(0, 10, (SIDE, SIDE, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def face(rng):
    """A face anywhere in the image, so that no place is special."""
    width, height = rng.integers(22, 34), rng.integers(26, 40)
    x, y = rng.integers(0, SIDE - width), rng.integers(0, SIDE - height)
    features = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)]
    points = tuple((x + a * width, y + b * height) for a, b in features)
    return Face((int(x), int(y), int(width), int(height)), 1.0, points)


def blends(count, seed):
    rng = np.random.default_rng(seed)
    return [self_blend(image(rng), face(rng), rng) for _ in range(count)]


def backbone(x):
    """Small, and quick to learn what blending does to a camera's noise."""
    x = HighPassResiduals()(x)
    x = convolve(x, 16)
    x = keras.layers.AveragePooling2D(4)(x)
    return [convolve(convolve(x, 24), 24)]


def convolve(x, filters):
    x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.8)(x)
    return keras.layers.Activation("relu")(x)


def tiny(seed):
    keras.utils.set_random_seed(seed)
    return assemble("tiny", SIDE, backbone)


@pytest.fixture(scope="module")
def detector():
    """A detector that has learnt nothing."""
    return tiny(seed=1)


def trained():
    """A detector that tells blends from what they were blended into."""
    detector = tiny(seed=1)
    pairs = blends(240, seed=1001)
    images = np.stack([x for b in pairs for x in (b.image, b.target)])
    decay = keras.optimizers.schedules.CosineDecay(3e-3, 8 * 480 // 32)
    network = keras.Model(detector.input, detector.get_layer("logit").output)
    network.compile(
        keras.optimizers.Adam(decay),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    labels = np.tile([1.0, 0.0], 240)
    network.fit(images.astype("float32"), labels, 32, epochs=8, verbose=0)
    return detector


def areas(detector, fakes):
    """How well heat predicts the blended face: 0.5 is chance."""
    heat = heat_maps(
        detector, np.stack([b.image for b in fakes]), ["fake"] * len(fakes)
    )
    return np.array(
        [
            roc_auc_score((b.mask > b.mask.max() / 2).ravel(), warmth.ravel())
            for b, warmth in zip(fakes, heat, strict=True)
        ]
    )


@pytest.mark.slow
def test_heat_finds_what_was_blended_in_and_random_weights_do_not():
    """The sanity check of Adebayo et al., NeurIPS 2018: heat must be learnt.

    Over three seeds of training, the mean lay between .85 and .87; of random
    weights, over five models a seed, between .40 and .57.
    """
    fakes = blends(40, seed=5001)
    learnt = areas(trained(), fakes)
    random = [areas(tiny(seed), fakes).mean() for seed in (100, 101)]
    assert learnt.mean() - 4 * learnt.std() / np.sqrt(len(fakes)) > 0.65
    assert max(random) < 0.65


def test_heat_lies_between_zero_and_one(detector, monkeypatch):
    monkeypatch.setattr("dfk.evaluation.heat_maps.BATCH_SIZE", 2)
    images = np.stack([b.image for b in blends(5, seed=7)])
    heat = heat_maps(detector, images, ["fake"] * 5)
    assert heat.shape == (5, SIDE, SIDE)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    np.testing.assert_allclose(heat.max(axis=(1, 2)), 1, rtol=1e-6)


def test_the_heat_of_a_mirrored_image_is_mirrored(detector):
    images = np.stack([b.image for b in blends(3, seed=8)])
    np.testing.assert_allclose(
        heat_maps(detector, images[:, :, ::-1], FAKES),
        heat_maps(detector, images, FAKES)[:, :, ::-1],
        atol=1e-4,
    )


def test_heat_is_evidence_for_the_verdict(detector):
    """Evidence for real is evidence for fake of the negated logit."""
    images = np.stack([b.image for b in blends(3, seed=9)])
    negated = keras.models.clone_model(detector)
    negated.set_weights(detector.get_weights())
    logit = negated.get_layer("logit")
    logit.set_weights([-w for w in logit.get_weights()])
    real = heat_maps(detector, images, ["real"] * 3)
    np.testing.assert_allclose(
        real, heat_maps(negated, images, ["uncertain"] * 3), atol=1e-5
    )
    assert not np.allclose(real, heat_maps(detector, images, FAKES))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "cnn" else pytest.mark.slow)
        for name in models.names()
    ],
)
def test_every_detector_can_be_explained(name):
    detector = models.build(name, 64, "none")
    heat = heat_maps(detector, np.full((1, 64, 64, 3), 90.0), ["fake"])
    assert heat.shape == (1, 64, 64)
    assert np.isfinite(heat).all()


def test_a_combination_of_one_is_explained_as_that_one(detector):
    images = np.stack([b.image for b in blends(3, seed=10)])
    alone = combine([detector_part("tiny", detector)], [2.0], 0.0, "mine")
    np.testing.assert_allclose(
        heat_maps(alone, images, FAKES),
        heat_maps(detector, images, FAKES),
        atol=1e-5,
    )


def test_a_combination_without_maps_cannot_be_explained(detector):
    head = detector_part("tiny", detector).head
    flat = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(head.input_shape[1]),
        ]
    )
    blind = combine([Part("flat", flat, head)], [1.0], 0.0, "blind")
    with pytest.raises(UserError, match="it has no feature maps"):
        heat_maps(blind, np.zeros((1, SIDE, SIDE, 3)), ["fake"])


def test_trees_have_no_gradient(detector):
    part = detector_part("tiny", detector)
    trees = BoostedTrees(trees=1, nodes=1, depth=0)
    head = keras.Sequential([keras.Input(part.head.input_shape[1:]), trees])
    mixed = combine([Part("trees", part.extractor, head)], [1.0], 0.0, "mixed")
    with pytest.raises(UserError, match="it decides by trees"):
        heat_maps(mixed, np.zeros((1, SIDE, SIDE, 3)), ["fake"])
