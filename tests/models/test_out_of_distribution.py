import keras
import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from dfk.models import out_of_distribution
from dfk.models.out_of_distribution import OutOfDistributionScore


@pytest.fixture
def features():
    """300 points of 6 directions that matter, within 40."""
    random = np.random.default_rng(0)
    basis = random.normal(size=(6, 40))
    points = random.normal(size=(300, 6)) * [9, 7, 5, 4, 3, 2] @ basis
    return (points + random.normal(size=(300, 40))).astype("float32")


def fitted(features):
    layer = OutOfDistributionScore()
    layer.build(features.shape)
    layer.fit(features)
    return layer


def test_it_changes_nothing_and_unfitted_finds_nothing_unusual(features):
    layer = OutOfDistributionScore()
    np.testing.assert_array_equal(layer(features), features)
    assert not np.any(layer.score(1000 * features))


def test_with_all_directions_it_is_the_mahalanobis_distance(features):
    # 39 of 40 directions, and the last as noise: the whole covariance.
    layer = fitted(features)
    expected = EmpiricalCovariance().fit(features).mahalanobis(features)
    np.testing.assert_allclose(
        layer.distance(features) ** 2 * 40, expected, rtol=0.02
    )


def test_the_distance_of_usual_features_is_about_one(features):
    assert np.mean(fitted(features).distance(features)) == pytest.approx(
        1, abs=0.05
    )


def test_what_leaves_the_training_directions_is_far(features, monkeypatch):
    monkeypatch.setattr(out_of_distribution, "COMPONENTS", 6)
    layer = fitted(features)
    other = np.random.default_rng(1).normal(size=features.shape) * 12
    usual, unusual = layer.distance(features), layer.distance(other)
    assert np.min(unusual) > np.max(usual)


def test_no_single_feature_decides(features):
    layer = fitted(features)
    usual = features[:1]
    strange, strangest, stranger = usual.copy(), usual.copy(), 30 * usual
    strange[0, 0], strangest[0, 0] = 1e3, 1e6
    assert layer.distance(strange) == layer.distance(strangest)
    assert layer.distance(strange) < layer.distance(stranger)


def test_fewer_images_than_directions_are_enough(features):
    layer = fitted(features[:5])
    assert np.isfinite(layer.distance(features)).all()


def test_only_the_parts_count_and_each_has_its_own_gaussian(features):
    layer = OutOfDistributionScore([(0, 10), (30, 40)])
    layer.build(features.shape)
    layer.fit(features)
    changed = features.copy()
    changed[:, 10:30] = 1e3
    np.testing.assert_array_equal(
        layer.distance(changed), layer.distance(features)
    )
    squared = [
        fitted(features[:, start : start + 10]).distance(
            features[:, start : start + 10]
        )
        ** 2
        for start in (0, 30)
    ]
    np.testing.assert_allclose(
        layer.distance(features) ** 2, np.mean(squared, axis=0), rtol=1e-5
    )


@pytest.mark.parametrize("parts", [None, [(0, 10), (20, 40)]])
def test_what_it_learnt_is_saved(features, tmp_path, parts):
    images = keras.Input((40,))
    model = keras.Model(
        images, OutOfDistributionScore(parts, name="ood_score")(images)
    )
    layer = model.get_layer("ood_score")
    layer.fit(features)
    layer.limit.assign(1.2)
    model.save(tmp_path / "detector.keras")
    again = keras.models.load_model(tmp_path / "detector.keras")
    np.testing.assert_allclose(
        again.get_layer("ood_score").score(features),
        layer.score(features),
        rtol=1e-6,
    )


def test_no_data_set_has_more_beyond_the_limit_than_the_rate(features):
    images = keras.Input((40,))
    layer = OutOfDistributionScore(name="ood_score")
    model = keras.Model(images, layer(images))
    near, far, few = features[:100], 1.5 * features[100:200], 9 * features[:5]
    out_of_distribution.fit(model, features, [near, far, few], rate=0.1)
    beyond = [np.mean(layer.score(each) > 1) for each in (near, far)]
    assert beyond[0] < beyond[1] == pytest.approx(0.1, abs=0.02)
    # So few images have no such limit, but all together may have one.
    out_of_distribution.fit(model, features, [few] * 2, rate=0.1)
    assert np.isfinite(layer.limit)
    out_of_distribution.fit(model, features, [few], rate=0.1)
    assert np.isinf(layer.limit)
