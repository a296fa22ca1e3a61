"""Our port of Inception-ResNet-v1 against keras-facenet's own."""

import keras
import numpy as np
import pytest
from keras_facenet.inception_resnet_v1 import InceptionResNetV1

from dfk import models
from dfk.models import facenet
from dfk.models.weights import backbone_layers


@pytest.fixture(scope="module")
def reference():
    """keras-facenet's model, with statistics unlike a fresh model's."""
    keras.utils.set_random_seed(3)
    model = InceptionResNetV1(classes=128)
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.05, size))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, size))
    return model


def _embed(model, images):
    return model(images, training=False).numpy()


@pytest.fixture(scope="module")
def file(reference, tmp_path_factory):
    file = tmp_path_factory.mktemp("facenet") / "facenet.h5"
    reference.save(file)
    return file


def test_the_port_embeds_as_keras_facenet_does(reference, file):
    port = facenet.recognizer()
    port.load_weights(file, by_name=True)
    images = np.random.default_rng(0).normal(0, 1, (2, 160, 160, 3))
    np.testing.assert_allclose(
        _embed(port, images), _embed(reference, images), atol=1e-5
    )


def test_the_detector_loads_every_layer_of_a_keras_h5_file(reference, file):
    detector = models.build("facenet", 160, weights=str(file))
    for layer in backbone_layers(detector):
        theirs = reference.get_layer(layer.name).get_weights()
        for ours, expected in zip(layer.get_weights(), theirs, strict=True):
            np.testing.assert_array_equal(ours, expected)
