"""How far a picture is from all that a detector was trained on."""

import keras
import numpy as np
from keras import ops
from sklearn.decomposition import PCA

DIRECTIONS = 64
# Standard deviations beyond which a feature counts no further: a channel that
# was silent in training would decide alone when it speaks.
TAIL = 5.0


@keras.saving.register_keras_serializable("dfk")
class NoveltyGauge(keras.layers.Layer):
    """Lets features `[N, D]` pass as they are, and tells how novel they are.

    A detector answers every picture with a number, a landscape as well. Its
    score is worth something only near the pictures it was trained on. The
    gauge models their features, standardised and cut at `TAIL`, as a Gaussian
    of a few directions and equal noise in all the others: the Mahalanobis
    distance from it is what probabilistic PCA has in its likelihood.

    Everything it knows is a weight that no optimizer touches, so that it
    travels inside `.keras` files and SavedModels. Until it is fitted, nothing
    is novel.

    Reference:
        Tipping & Bishop, "Probabilistic Principal Component Analysis", 1999;
        Lee et al., "A Simple Unified Framework for Detecting
        Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018.

    Example:
        >>> gauge = novelty_gauge(detector)
        >>> gauge.novelty(embedder(detector)(images))  # [N], above 1: novel
    """

    def build(self, input_shape):
        """Creates the weights of a gauge that finds nothing novel."""
        width = input_shape[-1]
        self.center = self._weight((width,), "zeros")
        self.scale = self._weight((width,), "ones")
        self.directions = self._weight((width, DIRECTIONS), "zeros")
        self.variances = self._weight((DIRECTIONS,), "ones")
        self.noise = self._weight((), "ones")
        self.limit = self._weight((), keras.initializers.Constant(np.inf))

    def _weight(self, shape, initializer):
        return self.add_weight(shape, initializer, trainable=False)

    def call(self, features):
        """Changes nothing: the layer lies where the features pass."""
        return features

    def distance(self, features):
        """The Mahalanobis distance of features `[N, D]` from training's, `[N]`.

        Divided by the root of D, so that about 1 is usual.
        """
        x = (features - self.center) / self.scale
        x = ops.clip(x, -TAIL, TAIL)
        along = ops.matmul(x, self.directions)
        rest = ops.sum(x**2, axis=-1) - ops.sum(along**2, axis=-1)
        squared = ops.sum(along**2 / self.variances, axis=-1) + (
            ops.maximum(rest, 0.0) / self.noise
        )
        return ops.sqrt(squared / x.shape[-1])

    def novelty(self, features):
        """The distance in units of its limit, `[N]`: above 1 is novel."""
        return self.distance(features) / self.limit

    def fit(self, features: np.ndarray) -> None:
        """Learns what is usual.

        Args:
            features: float `[N, D]` of training pictures.
        """
        center, scale = features.mean(axis=0), features.std(axis=0)
        # A channel that is all but dead in training must not decide alone.
        scale = np.maximum(scale, 0.1 * np.median(scale) + 1e-12)
        x = np.clip((features - center) / scale, -TAIL, TAIL)
        count = min(DIRECTIONS, min(x.shape) - 1)
        pca = PCA(count, svd_solver="randomized", random_state=0).fit(x)
        spare = DIRECTIONS - count
        rest = x.var(axis=0, ddof=1).sum() - pca.explained_variance_.sum()
        for weight, value in (
            (self.center, center),
            (self.scale, scale),
            (self.directions, np.pad(pca.components_.T, [(0, 0), (0, spare)])),
            (
                self.variances,
                np.pad(pca.explained_variance_, (0, spare), constant_values=1),
            ),
            (self.noise, max(rest / (x.shape[1] - count), 1e-6)),
        ):
            weight.assign(value)


def novelty_gauge(detector: keras.Model) -> NoveltyGauge:
    """The layer of a detector that knows what its training looked like.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.
    """
    return detector.get_layer("novelty")
