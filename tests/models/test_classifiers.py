import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import dfk.models  # noqa: F401, registers the layers
from dfk.models.from_sklearn import to_keras, vote_logits

NEIGHBORS = 7
KINDS = {
    "logistic_regression": lambda: LogisticRegression(C=0.3),
    "svm": lambda: SVC(C=3.0),
    "neighbors": lambda: KNeighborsClassifier(NEIGHBORS, weights="distance"),
    "boosting": lambda: GradientBoostingClassifier(
        n_estimators=30, max_depth=3, subsample=0.5, random_state=0
    ),
}


def data(count, seed):
    """Features far from zero, half of which tell three of four fakes."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % 4 > 0).astype(int)
    features = generator.normal(5.0, 2.0, (count, 40))
    features[:, :20] += 1.2 * labels[:, None]
    return features.astype(np.float32), labels


def scikit_logits(pipeline, features):
    if hasattr(pipeline, "decision_function"):
        return pipeline.decision_function(features)
    return vote_logits(pipeline.predict_proba(features)[:, 1], NEIGHBORS)


@pytest.fixture(scope="module")
def unseen():
    return data(80, seed=1)[0]


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    classifier = KINDS[request.param]()
    pipeline = make_pipeline(StandardScaler(), PCA(12), classifier)
    return pipeline.fit(*data(200, seed=0))


def test_the_layers_compute_what_scikit_learn_does(fitted, unseen):
    expected = scikit_logits(fitted, unseen)
    assert expected.std() > 0.1
    logits = to_keras(fitted, "classifier")(unseen)
    np.testing.assert_allclose(logits[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_raw_features_need_no_scaling_layer(kind, unseen):
    fitted = make_pipeline(KINDS[kind]()).fit(*data(200, seed=0))
    logits = to_keras(fitted, "classifier")(unseen)
    expected = scikit_logits(fitted, unseen)
    np.testing.assert_allclose(logits[:, 0], expected, atol=1e-4)


def test_a_saved_network_gives_the_same_logits(fitted, unseen, tmp_path):
    network = to_keras(fitted, "classifier")
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded(unseen), network(unseen), atol=1e-6)


def test_a_graph_takes_batches_of_any_size(fitted, unseen):
    network = to_keras(fitted, "classifier")
    spec = tf.TensorSpec([None, unseen.shape[1]], tf.float32)
    graph = tf.function(network, input_signature=[spec])
    for count in (1, 13):
        np.testing.assert_allclose(
            graph(unseen[:count]), network(unseen)[:count], atol=1e-5
        )


def test_nothing_is_left_to_train(fitted):
    assert not to_keras(fitted, "classifier").trainable_weights


def test_an_example_itself_decides_its_own_vote():
    features, labels = data(60, seed=2)
    fitted = make_pipeline(KINDS["neighbors"]()).fit(features, labels)
    logits = np.ravel(to_keras(fitted, "classifier")(features))
    certain = np.log(NEIGHBORS + 1)
    np.testing.assert_allclose(
        logits, np.where(labels, certain, -certain), atol=1e-4
    )


def test_trees_agree_on_features_that_lie_on_a_threshold():
    features = np.float32([[0.1], [0.2], [0.3], [0.4]] * 5)
    labels = np.array([0, 0, 1, 1] * 5)
    fitted = make_pipeline(KINDS["boosting"]()).fit(features, labels)
    cuts = np.float32(
        [
            estimator.tree_.threshold[0]
            for estimator in fitted[-1].estimators_[:, 0]
        ]
    )
    around = np.concatenate(
        [np.nextafter(cuts, np.float32(0)), cuts, np.nextafter(cuts, cuts + 1)]
    )[:, None]
    logits = to_keras(fitted, "classifier")(around)
    np.testing.assert_allclose(
        logits[:, 0], fitted.decision_function(around), atol=1e-5
    )


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (LinearRegression(), "LinearRegression"),
        (SVC(kernel="linear"), "RBF"),
        (KNeighborsClassifier(), "distance"),
    ],
)
def test_what_has_no_layer_is_refused(step, message):
    fitted = make_pipeline(step).fit(*data(20, seed=0))
    with pytest.raises(TypeError, match=message):
        to_keras(fitted, "classifier")
