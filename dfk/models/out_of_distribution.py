"""The out-of-distribution score: how unlike the training images one is."""

import keras
import numpy as np
from keras import ops
from sklearn.decomposition import PCA

from dfk.data import FaceSplit
from dfk.models.conformal import upper_quantile
from dfk.models.features import compute
from dfk.models.named_layers import embedder, ood_layer

COMPONENTS = 64
# Features are clipped at so many standard deviations. Otherwise a single
# channel that was never active in training would decide alone.
CLIP = 5.0
# Ten training images for each component. More would change little, and each
# costs a run of the backbone.
TRAINING_IMAGES = 10 * COMPONENTS
# The share of images like those of validation that may be called out of
# distribution.
RATE = 0.01


@keras.saving.register_keras_serializable("dfk")
class OutOfDistributionScore(keras.layers.Layer):
    """Passes features `[N, D]` on, and scores how unusual they are.

    A detector gives every image a probability, even a landscape, but it means
    something only for images like those of training. This layer models their
    features, standardised and clipped at `CLIP`, as a Gaussian with a few
    principal components and equal noise in all other directions. The score is
    the Mahalanobis distance under that Gaussian, which is the term of
    probabilistic PCA's negative log-likelihood that depends on the image.

    The Gaussian is held in weights that no optimizer touches, so that it
    travels inside `.keras` files and SavedModels. Until it is fitted, nothing
    is out of distribution.

    Reference:
        Tipping & Bishop, "Probabilistic Principal Component Analysis", 1999;
        Lee et al., "A Simple Unified Framework for Detecting
        Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018.

    Example:
        >>> layer = ood_layer(detector)
        >>> layer.score(embedder(detector)(images))  # [N], above 1: unusual
    """

    def build(self, input_shape):
        """Creates the weights of a layer that finds nothing unusual."""
        width = input_shape[-1]
        self.center = self._weight((width,), "zeros")
        self.scale = self._weight((width,), "ones")
        self.components = self._weight((width, COMPONENTS), "zeros")
        self.variances = self._weight((COMPONENTS,), "ones")
        self.noise = self._weight((), "ones")
        self.limit = self._weight((), keras.initializers.Constant(np.inf))

    def _weight(self, shape, initializer):
        return self.add_weight(shape, initializer, trainable=False)

    def call(self, features):
        """Returns the features unchanged."""
        return features

    def distance(self, features):
        """The Mahalanobis distance of features `[N, D]` from training, `[N]`.

        It is divided by the root of D, so that about 1 is usual.
        """
        x = (features - self.center) / self.scale
        x = ops.clip(x, -CLIP, CLIP)
        along = ops.matmul(x, self.components)
        rest = ops.sum(x**2, axis=-1) - ops.sum(along**2, axis=-1)
        squared = ops.sum(along**2 / self.variances, axis=-1) + (
            ops.maximum(rest, 0.0) / self.noise
        )
        return ops.sqrt(squared / x.shape[-1])

    def score(self, features):
        """The distance over its limit, `[N]`: above 1 is unusual."""
        return self.distance(features) / self.limit

    def fit(self, features: np.ndarray) -> None:
        """Fits the Gaussian; the limit is left as it is.

        Args:
            features: float `[N, D]` of training images.
        """
        center, scale = features.mean(axis=0), features.std(axis=0)
        # A channel that hardly varies in training must not decide alone.
        scale = np.maximum(scale, 0.1 * np.median(scale) + 1e-12)
        x = np.clip((features - center) / scale, -CLIP, CLIP)
        count = min(COMPONENTS, min(x.shape) - 1)
        pca = PCA(count, svd_solver="randomized", random_state=0).fit(x)
        spare = COMPONENTS - count
        rest = x.var(axis=0, ddof=1).sum() - pca.explained_variance_.sum()
        for weight, value in (
            (self.center, center),
            (self.scale, scale),
            (self.components, np.pad(pca.components_.T, [(0, 0), (0, spare)])),
            (
                self.variances,
                np.pad(pca.explained_variance_, (0, spare), constant_values=1),
            ),
            (self.noise, max(rest / (x.shape[1] - count), 1e-6)),
        ):
            weight.assign(value)


def fit(
    detector: keras.Model, training: FaceSplit, validation: FaceSplit
) -> None:
    """Fits a detector's `OutOfDistributionScore`, and its limit.

    An image like those of validation exceeds the limit with a probability of
    at most `RATE`. With fewer than
    `dfk.models.conformal.required_images(RATE)` validation images there is no
    such limit, and nothing is ever out of distribution.

    Args:
        detector: trained.
        training: what it was trained on.
        validation: what it was not trained on.

    Example:
        >>> fit(detector, faces.splits["train"], faces.splits["validation"])
    """
    network, layer = embedder(detector), ood_layer(detector)
    few = training.first(TRAINING_IMAGES)
    layer.fit(compute(network, few).values)
    distances = layer.distance(compute(network, validation).values)
    layer.limit.assign(upper_quantile(np.asarray(distances), RATE))
