"""Classifiers of another kind than neural, as layers of a detector's graph.

scikit-learn fits them, and `dfk.models.from_sklearn` fills the weights of these
layers. As a part of the graph, a classifier is saved, exported and served with
its detector. No optimizer touches the weights; a layer's configuration only
holds sizes.
"""

import keras
from keras import ops

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
