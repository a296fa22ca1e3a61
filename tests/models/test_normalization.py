"""Each backbone gets the pixels its weights were trained on."""

import keras
import numpy as np
import pytest
from keras.applications import efficientnet_v2, resnet

from dfk import models


def _pixels(size):
    return (
        np.random.default_rng(1)
        .uniform(0, 255, (2, size, size, 3))
        .astype("float32")
    )


def _up_to(detector, layer, images):
    """What a layer makes of the images themselves, without their mirrors."""
    part = keras.Model(detector.input, detector.get_layer(layer).output)
    return part(images)[: len(images)]


def test_resnet_preprocesses_as_keras_does():
    detector = models.build("resnet", 224, "none")
    images = _pixels(224)
    np.testing.assert_allclose(
        _up_to(detector, "preprocess", images),
        resnet.preprocess_input(images.copy()),
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("name", "architecture", "preprocess"),
    [
        ("resnet", keras.applications.ResNet50, resnet.preprocess_input),
        (
            "efficientnet",
            keras.applications.EfficientNetV2B0,
            efficientnet_v2.preprocess_input,
        ),
    ],
)
def test_equals_keras_applications_with_the_same_weights(
    name, architecture, preprocess
):
    reference = architecture(
        include_top=False, weights=None, input_shape=(224, 224, 3)
    )
    detector = models.build(name, 224, "none")
    for layer in reference.layers:
        if layer.weights:
            layer.set_weights(detector.get_layer(layer.name).get_weights())
    images = _pixels(224)
    last = reference.layers[-1].name
    np.testing.assert_allclose(
        _up_to(detector, last, images),
        reference(preprocess(images.copy())),
        rtol=1e-4,
        # Activations go up to 20, and some of them are nearly 0.
        atol=1e-4,
    )


def test_facenet_standardizes_each_image():
    from dfk.models.facenet import ImageStandardization

    images = _pixels(32)
    out = ImageStandardization()(images).numpy()
    np.testing.assert_allclose(out.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((1, 2, 3)), 1, atol=1e-5)


def test_a_image_of_one_colour_standardizes_to_zeros():
    from dfk.models.facenet import ImageStandardization

    out = ImageStandardization()(np.full((1, 8, 8, 3), 200.0, "float32"))
    np.testing.assert_allclose(out, 0, atol=1e-3)
