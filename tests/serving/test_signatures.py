import numpy as np
import pytest
import tensorflow as tf

from dfk import models
from dfk.images.decode import decode
from dfk.serving.signatures import signatures


@pytest.fixture(scope="module")
def answer(detector):
    return signatures(detector)


def pixels_of(pictures, size):
    return np.stack([decode(p, size).numpy() for p in pictures])


def test_scores_are_those_of_the_model(answer, detector, pictures):
    got = answer["serving_default"](tf.constant(pictures))
    expected = detector.predict(pixels_of(pictures, 32), verbose=0)[:, 0]
    np.testing.assert_allclose(got["fake_probability"], expected, atol=1e-6)
    assert expected.std() > 0.01


def test_pixels_give_the_scores_of_their_file(answer, pictures):
    pixels = pixels_of(pictures, 32).astype(np.float32)
    from_pixels = answer["images"](tf.constant(pixels))
    from_bytes = answer["serving_default"](tf.constant(pictures))
    for name in ("fake_probability", "verdict"):
        np.testing.assert_array_equal(from_pixels[name], from_bytes[name])


def test_verdict_follows_the_thresholds(answer, detector, pictures):
    got = answer["serving_default"](tf.constant(pictures))
    thresholds = models.score_layer(detector).calibration
    for score, word in zip(
        got["fake_probability"].numpy(), got["verdict"].numpy(), strict=True
    ):
        if score < thresholds.real_below:
            assert word == b"real"
        elif score > thresholds.fake_above:
            assert word == b"fake"
        else:
            assert word == b"uncertain"


def test_a_broken_picture_does_not_touch_its_batch(answer, pictures):
    alone = answer["serving_default"](tf.constant(pictures[:2]))
    mixed = answer["serving_default"](
        tf.constant([b"", pictures[0], b"no picture", pictures[1]])
    )
    scores = mixed["fake_probability"].numpy()
    np.testing.assert_allclose(
        scores[[1, 3]], alone["fake_probability"], atol=1e-6
    )
    assert np.isnan(scores[[0, 2]]).all()
    assert (mixed["verdict"].numpy()[[0, 2]] == b"unreadable").all()


def test_embeddings_have_length_one(answer, detector, pictures):
    got = answer["embed"](tf.constant([*pictures, b"no picture"]))["embedding"]
    width = models.embedder(detector).output_shape[1]
    assert got.shape == (len(pictures) + 1, width)
    np.testing.assert_allclose(np.linalg.norm(got[:-1], axis=1), 1, atol=1e-5)
    assert np.isnan(got[-1]).all()


def test_classify_scores_both_classes(answer, pictures):
    feature = tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[pictures[0]])
    )
    full = tf.train.Example(
        features=tf.train.Features(feature={"image/encoded": feature})
    )
    got = answer["classify"](
        tf.constant(
            [full.SerializeToString(), tf.train.Example().SerializeToString()]
        )
    )
    fake = answer["serving_default"](tf.constant(pictures[:1]))
    fake = fake["fake_probability"].numpy()[0]
    assert got["classes"].numpy().tolist() == [[b"real", b"fake"]] * 2
    np.testing.assert_allclose(got["scores"][0], [1 - fake, fake], atol=1e-6)
    assert np.isnan(got["scores"][1]).all()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("serving_default", {"fake_probability": [0], "verdict": [0]}),
        ("embed", {"embedding": [0, 20]}),
        ("classify", {"classes": [0, 2], "scores": [0, 2]}),
    ],
)
def test_an_empty_batch_is_answered_with_an_empty_one(answer, name, shapes):
    got = answer[name](tf.constant([], tf.string))
    assert {key: list(value.shape) for key, value in got.items()} == shapes


def test_no_pixels_are_answered_with_no_scores(answer):
    got = answer["images"](tf.zeros([0, 32, 32, 3]))
    assert got["fake_probability"].shape == [0]
