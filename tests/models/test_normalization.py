"""Each backbone gets the pixels its weights were trained on."""

import keras
import numpy as np
import pytest
from keras.applications import efficientnet_v2, resnet

from dfk import models
from dfk.models.facenet import ImageStandardization
from dfk.models.resnet import CaffePreprocessing


def _pixels(size):
    return (
        np.random.default_rng(1)
        .uniform(0, 255, (2, size, size, 3))
        .astype("float32")
    )


def test_resnet_preprocesses_as_keras_does():
    images = _pixels(32)
    np.testing.assert_allclose(
        CaffePreprocessing()(images),
        resnet.preprocess_input(images.copy()),
        atol=1e-4,
    )


@pytest.mark.slow
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
    last = detector.get_layer(reference.layers[-1].name)
    # Of the images themselves, without their mirror images.
    found = keras.Model(detector.input, last.output)(images)[: len(images)]
    np.testing.assert_allclose(
        found,
        reference(preprocess(images.copy())),
        rtol=1e-4,
        # Activations go up to 20, and some of them are nearly 0.
        atol=1e-4,
    )


def test_facenet_standardizes_each_image():
    images = _pixels(32)
    out = ImageStandardization()(images).numpy()
    np.testing.assert_allclose(out.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((1, 2, 3)), 1, atol=1e-5)


def test_an_image_of_one_colour_standardizes_to_zeros():
    out = ImageStandardization()(np.full((1, 8, 8, 3), 200.0, "float32"))
    np.testing.assert_allclose(out, 0, atol=1e-3)
