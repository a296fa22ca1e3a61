import numpy as np
import pytest
import tensorflow as tf
from tiny import build_tiny

from dfk import models
from dfk.images.decode import decode
from dfk.prediction.signatures import signatures


@pytest.fixture(scope="module")
def answer(detector):
    return signatures(detector)


def pixels_of(images, size):
    return np.stack([decode(p, size).numpy() for p in images])


def test_scores_are_those_of_the_model(answer, detector, images):
    got = answer["serving_default"](tf.constant(images))
    expected = detector.predict(pixels_of(images, 32), verbose=0)[:, 0]
    np.testing.assert_allclose(got["fake_probability"], expected, atol=1e-6)
    assert expected.std() > 0.01


def test_pixels_give_the_scores_of_their_file(answer, images):
    pixels = pixels_of(images, 32).astype(np.float32)
    from_pixels = answer["images"](tf.constant(pixels))
    from_bytes = answer["serving_default"](tf.constant(images))
    for name in ("fake_probability", "verdict", "reason"):
        np.testing.assert_array_equal(from_pixels[name], from_bytes[name])


def test_verdict_follows_the_limits(answer, detector, images):
    got = answer["serving_default"](tf.constant(images))
    low, high = models.score_layer(detector).calibration.uncertain
    for score, verdict, reason in zip(
        got["fake_probability"].numpy(),
        got["verdict"].numpy(),
        got["reason"].numpy(),
        strict=True,
    ):
        if score < low:
            assert (verdict, reason) == (b"real", b"")
        elif score > high:
            assert (verdict, reason) == (b"fake", b"")
        else:
            assert (verdict, reason) == (b"uncertain", b"too close to call")


def test_images_unlike_the_training_images_are_uncertain():
    random = np.random.default_rng(0)
    light = random.uniform(60, 200, (60, 1, 1, 3))
    usual = (light + random.normal(0, 10, (60, 32, 32, 3))).astype(np.float32)
    checkerboard = 255 * (np.indices((32, 32)).sum(axis=0) // 4 % 2)
    unusual = np.broadcast_to(checkerboard[None, ..., None], (1, 32, 32, 3))
    detector = build_tiny()
    layer, embedder = models.ood_layer(detector), models.embedder(detector)
    # Many more images than features, or all would lie equally far away.
    features = embedder(usual).numpy()
    assert len(features) >= 3 * features.shape[1]
    layer.fit(features)
    layer.limit.assign(1.01 * np.max(layer.distance(features)))
    got = signatures(detector)["images"](
        tf.constant(np.concatenate([usual, unusual]), tf.float32)
    )
    reasons = got["reason"].numpy()
    assert got["verdict"].numpy()[-1] == b"uncertain"
    assert reasons[-1] == b"unlike the training pictures"
    assert b"unlike the training pictures" not in reasons[:-1]


def test_a_broken_image_does_not_touch_its_batch(answer, images):
    apart = answer["serving_default"](tf.constant(images[:2]))
    mixed = answer["serving_default"](
        tf.constant([b"", images[0], b"no picture", images[1]])
    )
    scores = mixed["fake_probability"].numpy()
    np.testing.assert_allclose(
        scores[[1, 3]], apart["fake_probability"], atol=1e-6
    )
    assert np.isnan(scores[[0, 2]]).all()
    assert (mixed["verdict"].numpy()[[0, 2]] == b"unreadable").all()
    assert mixed["reason"].numpy()[0] == b"not a picture that can be decoded"


def test_embeddings_have_length_one(answer, detector, images):
    got = answer["embed"](tf.constant([*images, b"no picture"]))["embedding"]
    width = models.embedder(detector).output_shape[1]
    assert got.shape == (len(images) + 1, width)
    np.testing.assert_allclose(np.linalg.norm(got[:-1], axis=1), 1, atol=1e-5)
    assert np.isnan(got[-1]).all()


def test_classify_scores_both_classes(answer, images):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[images[0]]))
    full = tf.train.Example(
        features=tf.train.Features(feature={"image/encoded": feature})
    )
    got = answer["classify"](
        tf.constant(
            [full.SerializeToString(), tf.train.Example().SerializeToString()]
        )
    )
    fake = answer["serving_default"](tf.constant(images[:1]))
    fake = fake["fake_probability"].numpy()[0]
    assert got["classes"].numpy().tolist() == [[b"real", b"fake"]] * 2
    np.testing.assert_allclose(got["scores"][0], [1 - fake, fake], atol=1e-6)
    assert np.isnan(got["scores"][1]).all()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        (
            "serving_default",
            {
                "fake_probability": [0],
                "verdict": [0],
                "reason": [0],
                "family": [0],
            },
        ),
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
