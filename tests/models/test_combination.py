import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dfk import models
from dfk.models.combination import Part, combine, detector_part, flatten
from dfk.models.from_sklearn import to_keras
from dfk.models.head import assemble

SIZE = 24


def build_tiny(seed):
    keras.utils.set_random_seed(seed)
    return assemble("tiny", SIZE, _two_convolutions)


def _two_convolutions(images):
    # Named, so that the layers of two detectors have the same names.
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv1")(x)
    return [x, keras.layers.Conv2D(6, 3, activation="relu", name="conv2")(x)]


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    light = generator.uniform(40, 255, (5, 1, 1, 1))
    return np.float32(generator.uniform(0, light, (5, SIZE, SIZE, 3)))


@pytest.fixture(scope="module")
def detectors():
    return [build_tiny(seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def combination(detectors):
    parts = [detector_part("tiny", detector) for detector in detectors]
    return combine(parts, [2.0, 0.5], bias=0.3, name="combination")


def logits(detector, images):
    layer = detector.get_layer("logit")
    return keras.Model(detector.input, layer.output)(images).numpy()


def test_logits_are_weighted_and_summed(combination, detectors, images):
    first, second = (logits(detector, images) for detector in detectors)
    expected = 2.0 * first + 0.5 * second + 0.3
    assert expected.std() > 0.01
    np.testing.assert_allclose(logits(combination, images), expected, atol=1e-5)


def test_features_stand_side_by_side(combination, detectors, images):
    expected = np.concatenate(
        [models.embedder(detector)(images) for detector in detectors], axis=1
    )
    features = models.embedder(combination)(images)
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_a_saved_combination_gives_the_same_scores(
    combination, images, tmp_path
):
    calibration = models.Calibration(0.5, 0.1, 0.7, 0.3)
    models.score_layer(combination).calibration = calibration
    combination.save(tmp_path / "model.keras")
    loaded = models.load(tmp_path)
    np.testing.assert_allclose(loaded(images), combination(images), atol=1e-6)
    assert models.score_layer(loaded).calibration.bias == pytest.approx(0.1)


def test_a_combination_is_taken_apart_to_be_combined_again(
    combination, images, tmp_path
):
    other = build_tiny(3)
    parts, weights, bias = flatten([combination, other], [3.0, 0.5], 0.1)
    assert len(parts) == 3
    combine(parts, weights, bias, "larger").save(tmp_path / "model.keras")
    sums = 3.0 * logits(combination, images) + 0.5 * logits(other, images)
    np.testing.assert_allclose(
        logits(models.load(tmp_path), images), sums + 0.1, atol=1e-5
    )


def test_one_part_is_a_combination_too(detectors, images):
    single = combine([detector_part("tiny", detectors[0])], [1.0], 0.0, "one")
    expected = logits(detectors[0], images)
    np.testing.assert_allclose(logits(single, images), expected, atol=1e-5)


def test_a_classifier_is_a_part_like_a_detector(detectors, images, tmp_path):
    extractor = models.embedder(detectors[0])
    features = extractor(images).numpy()
    fitted = make_pipeline(LogisticRegression(C=100)).fit(
        features, [0, 1, 0, 1, 1]
    )
    parts = [
        Part("regression", extractor, to_keras(fitted, "regression")),
        detector_part("tiny", detectors[1]),
    ]
    combine(parts, [1.0, 0.0], 0.0, "mixed").save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        logits(models.load(tmp_path), images)[:, 0],
        fitted.decision_function(features),
        atol=1e-4,
    )
