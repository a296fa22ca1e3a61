"""One class for each family of fakes, and one score for all of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import SIZE, build_tiny

from dfk import models
from dfk.models.families import FakeLogit
from dfk.models.head import assemble
from dfk.prediction.signatures import signatures


@pytest.fixture(scope="module")
def detector():
    def backbone(images):
        return [keras.layers.Conv2D(4, 3, strides=2, name="conv")(images)]

    keras.utils.set_random_seed(0)
    return assemble("tiny", SIZE, backbone, families=["gan", "swap"])


def test_the_score_is_the_softmax_of_all_families_together():
    logits = np.float32([[0.3, 1.0, -2.0], [2.0, -1.0, 0.5]])
    share = tf.nn.softmax(logits).numpy()
    odds = (share[:, 1] + share[:, 2]) / share[:, 0]
    layer = FakeLogit(["gan", "swap"])
    np.testing.assert_allclose(layer(logits)[:, 0], np.log(odds), rtol=1e-5)


def test_a_family_is_named_where_it_is_clear():
    logits = tf.constant([[0, 3.0, 0], [0, 0, 3.0], [9.0, 1.0, 1.0]])
    named = FakeLogit(["gan", "swap"]).name_of(logits).numpy()
    assert named.tolist() == [b"gan", b"swap", b""]


def test_only_fakes_resemble_a_family(detector):
    answer = signatures(detector)["images"]
    images = tf.zeros([1, SIZE, SIZE, 3])
    classes = detector.get_layer("classes")
    for real, verdict, family in ((-9, b"fake", b"gan"), (9, b"real", b"")):
        classes.bias.assign([real, 5, 0])
        found = answer(images)
        assert found["verdict"].numpy().tolist() == [verdict]
        assert found["family"].numpy().tolist() == [family]


def test_families_travel_with_a_detector(detector, tmp_path):
    detector.save(tmp_path / "model.keras")
    loaded = models.load(tmp_path / "model.keras")
    assert loaded.get_layer("logit").families == ["gan", "swap"]
    assert models.knows_families(loaded)


def test_one_family_needs_no_class_of_its_own():
    assert not models.knows_families(build_tiny())
