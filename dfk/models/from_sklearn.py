"""Classifiers that scikit-learn has fitted, as layers of a detector's graph.

As a part of the graph, a classifier is saved, exported and served with its
detector. No optimizer touches the weights; a layer's configuration only holds
sizes.

Example:
    >>> fitted = make_pipeline(StandardScaler(), SVC()).fit(features, labels)
    >>> network = to_keras(fitted, name="svm")
    >>> network(features)  # [N, 1], as fitted.decision_function(features)
"""

from functools import singledispatch

import keras
import numpy as np
from keras import ops
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

# In place of 0: an image that is itself an example outweighs all others.
_NO_DISTANCE = 1e-12


class _Fitted(keras.layers.Layer):
    """A layer whose weights are set once and never trained."""

    def _constant(self, shape, dtype="float32"):
        return self.add_weight(shape, "zeros", dtype, trainable=False)


@keras.saving.register_keras_serializable("dfk")
class RadialBasisSVM(_Fitted):
    """A support vector machine with an RBF kernel.

    Features `[N, D]` to `[N, 1]`: the sum over the support vectors s of
    `dual * exp(-gamma * |x - s|^2)`, plus an intercept.

    Args:
        support_vectors: how many there are.

    Reference:
        Cortes & Vapnik, "Support-Vector Networks", Machine Learning 1995.
    """

    def __init__(self, support_vectors: int, **kwargs):
        super().__init__(**kwargs)
        self.support_vectors = support_vectors

    def build(self, input_shape):
        """Creates support vectors, dual coefficients, intercept and gamma."""
        count = self.support_vectors
        self.vectors = self._constant((count, input_shape[-1]))
        self.dual = self._constant((count, 1))
        self.intercept = self._constant(())
        self.gamma = self._constant(())

    def call(self, features):
        """The decision function."""
        # |x - s|^2 without a tensor of shape [N, support vectors, D].
        distance = (
            ops.sum(ops.square(features), axis=1, keepdims=True)
            + ops.sum(ops.square(self.vectors), axis=1)
            - 2 * ops.matmul(features, ops.transpose(self.vectors))
        )
        kernel = ops.exp(-self.gamma * distance)
        return ops.matmul(kernel, self.dual) + self.intercept

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"support_vectors": self.support_vectors}


@keras.saving.register_keras_serializable("dfk")
class NearestNeighbors(_Fitted):
    """The k nearest examples vote, each with one over its distance.

    Features `[N, D]` to `[N, 1]`: the log-odds of the fake share p of the
    votes, `log(k p + 1) - log(k (1 - p) + 1)`. One more vote for each class
    (Laplace's rule of succession) keeps a unanimous result finite.

    Args:
        examples: how many there are.
        neighbors: k, how many of them vote.

    Reference:
        Dudani, "The Distance-Weighted k-Nearest-Neighbor Rule", IEEE
        Transactions on Systems, Man, and Cybernetics 1976.
    """

    def __init__(self, examples: int, neighbors: int, **kwargs):
        super().__init__(**kwargs)
        self.examples = examples
        self.neighbors = neighbors

    def build(self, input_shape):
        """Creates the examples and their labels."""
        shape = (self.examples, input_shape[-1])
        self.known = self._constant(shape)
        self.labels = self._constant((self.examples,))

    def call(self, features):
        """Finds the neighbours, and lets them vote."""
        # |x|^2 is the same for all examples, and so left out of the ranking.
        closeness = 2 * ops.matmul(features, ops.transpose(self.known))
        closeness -= ops.sum(ops.square(self.known), axis=1)
        _, nearest = ops.top_k(closeness, self.neighbors)
        # Only these few distances must be exact.
        offsets = features[:, None] - ops.take(self.known, nearest, axis=0)
        distance = ops.sqrt(ops.sum(ops.square(offsets), axis=2))
        votes = 1 / ops.maximum(distance, _NO_DISTANCE)
        votes *= self.neighbors / ops.sum(votes, axis=1, keepdims=True)
        labels = ops.take(self.labels, nearest, axis=0)
        fake = ops.sum(votes * labels, axis=1, keepdims=True)
        real = ops.sum(votes * (1 - labels), axis=1, keepdims=True)
        return ops.log(fake + 1) - ops.log(real + 1)

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {
            "examples": self.examples,
            "neighbors": self.neighbors,
        }


@keras.saving.register_keras_serializable("dfk")
class BoostedTrees(_Fitted):
    """A sum of decision trees.

    Features `[N, D]` to `[N, 1]`: a start value plus, for each tree, the
    value of the leaf that is reached by going left where `feature <=
    threshold`. A leaf's children are the leaf itself, so that all trees take
    `depth` steps.

    Args:
        trees: how many there are.
        nodes: how many they have together.
        depth: the steps from the root to the deepest leaf.

    Reference:
        Friedman, "Stochastic Gradient Boosting", Computational Statistics &
        Data Analysis 2002.
    """

    def __init__(self, trees: int, nodes: int, depth: int, **kwargs):
        super().__init__(**kwargs)
        self.trees = trees
        self.nodes = nodes
        self.depth = depth

    def build(self, input_shape):
        """Creates roots, features and thresholds, children and leaf values."""
        del input_shape
        nodes = (self.nodes,)
        self.roots = self._constant((self.trees,), "int32")
        self.feature = self._constant(nodes, "int32")
        self.threshold = self._constant(nodes)
        self.left = self._constant(nodes, "int32")
        self.right = self._constant(nodes, "int32")
        self.value = self._constant(nodes)
        self.start = self._constant(())

    def call(self, features):
        """Walks down all trees at once."""
        shape = (ops.shape(features)[0], self.trees)
        node = ops.broadcast_to(self.roots, shape)
        for _ in range(self.depth):
            compared = ops.take(self.feature, node)
            value = ops.take_along_axis(features, compared, axis=1)
            node = ops.where(
                value <= ops.take(self.threshold, node),
                ops.take(self.left, node),
                ops.take(self.right, node),
            )
        leaves = ops.take(self.value, node)
        return ops.sum(leaves, axis=1, keepdims=True) + self.start

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {
            "trees": self.trees,
            "nodes": self.nodes,
            "depth": self.depth,
        }


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
