"""Turns classifiers that scikit-learn has fitted into Keras layers.

Example:
    >>> fitted = make_pipeline(StandardScaler(), SVC()).fit(features, labels)
    >>> network = to_keras(fitted, name="svm")
    >>> network(features)  # [N, 1], as fitted.decision_function(features)
"""

from functools import singledispatch

import keras
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dfk.models.classifiers import (
    BoostedTrees,
    NearestNeighbors,
    RadialBasisSVM,
)


def to_keras(fitted: Pipeline, name: str) -> keras.Sequential:
    """Builds the network that computes what a pipeline computes, in float32.

    Args:
        fitted: a pipeline of `StandardScaler`, `PCA`, both or neither, and
            then a `LogisticRegression`, an `SVC` with an RBF kernel, a
            `KNeighborsClassifier` with weights by distance or a
            `GradientBoostingClassifier`; of the classes 0 and 1.
        name: the network's name.

    Returns:
        A model from features `[N, D]` to logits of fake `[N, 1]`: the
        pipeline's `decision_function`, and for neighbours `vote_logits`.

    Raises:
        TypeError: the pipeline holds something else.
    """
    network = keras.Sequential(
        [keras.Input((fitted.n_features_in_,))], name=name
    )
    for _, step in fitted.steps:
        layer, weights = _layer(step)
        network.add(layer)
        layer.set_weights(weights)
    network.trainable = False
    return network


def vote_logits(share: np.ndarray, neighbors: int) -> np.ndarray:
    """The logits that `NearestNeighbors` computes for shares of the votes.

    Args:
        share: float `[N]` in 0..1, the fake share of the votes, as
            `KNeighborsClassifier.predict_proba` gives it.
        neighbors: how many voted.

    Returns:
        float `[N]`, the log-odds after one more vote for each class.
    """
    return np.log1p(neighbors * share) - np.log1p(neighbors * (1 - share))


@singledispatch
def _layer(
    step: BaseEstimator,
) -> tuple[keras.layers.Layer, list[np.ndarray]]:
    """A layer, and the weights it is to have once it is built."""
    raise TypeError(f"No layer computes what {type(step).__name__} does.")


@_layer.register
def _(step: StandardScaler):
    layer = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-12, dtype="float32"
    )
    return layer, [step.mean_, step.scale_**2]


@_layer.register
def _(step: PCA):
    kernel = step.components_.T
    layer = keras.layers.Dense(step.n_components_, dtype="float32")
    return layer, [kernel, -step.mean_ @ kernel]


@_layer.register
def _(step: LogisticRegression):
    layer = keras.layers.Dense(1, dtype="float32")
    return layer, [step.coef_.T, step.intercept_]


@_layer.register
def _(step: SVC):
    if step.kernel != "rbf":
        raise TypeError(f"The SVC must have an RBF kernel, not {step.kernel}.")
    layer = RadialBasisSVM(len(step.support_vectors_), dtype="float32")
    (intercept,) = step.intercept_
    # `gamma` may be "scale"; the number is in no public attribute.
    gamma = step._gamma
    return layer, [step.support_vectors_, step.dual_coef_.T, intercept, gamma]


@_layer.register
def _(step: KNeighborsClassifier):
    if step.weights != "distance":
        raise TypeError(f"Votes must be by distance, not {step.weights}.")
    # The examples are in no public attribute.
    layer = NearestNeighbors(
        step.n_samples_fit_, step.n_neighbors, dtype="float32"
    )
    return layer, [step._fit_X, step._y]


@_layer.register
def _(step: GradientBoostingClassifier):
    trees = [estimator.tree_ for estimator in step.estimators_[:, 0]]
    sizes = [tree.node_count for tree in trees]
    offsets = np.cumsum([0, *sizes[:-1]])
    layer = BoostedTrees(
        trees=len(trees),
        nodes=sum(sizes),
        depth=max(tree.max_depth for tree in trees),
        dtype="float32",
    )
    own = np.arange(sum(sizes))
    moved = np.repeat(offsets, sizes)
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = np.concatenate([tree.threshold for tree in trees])
    value = np.concatenate([tree.value[:, 0, 0] for tree in trees])
    leaf = left < 0
    real, fake = step.init_.class_prior_
    return layer, [
        offsets,
        np.where(leaf, 0, feature),
        _rounded_down(threshold),
        np.where(leaf, own, left + moved),
        np.where(leaf, own, right + moved),
        step.learning_rate * value,
        np.log(fake / real),
    ]


def _rounded_down(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 up to it: `x <= threshold` stays as it was."""
    rounded = threshold.astype(np.float32)
    lower = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > threshold, lower, rounded)
