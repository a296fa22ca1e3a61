"""The out-of-distribution score: how unlike the training images one is."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from sklearn.decomposition import PCA

from dfk.models.conformal import required_images, upper_quantile
from dfk.models.named_layers import ood_layer

COMPONENTS = 64
# Features are clipped at so many standard deviations. Otherwise a single
# channel that was never active in training would decide alone.
CLIP = 5.0
# Ten training images for each component. More would change little, and each
# costs a run of the backbone.
TRAINING_IMAGES = 10 * COMPONENTS
# The share of images like those of validation that may be called out of
# distribution, where a detector has no other.
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

    Args:
        parts: the first and the last but one column of each part of the
            features that counts. Each has a Gaussian of its own, and their
            squared distances are added up. All columns are one part if None.

    Reference:
        Tipping & Bishop, "Probabilistic Principal Component Analysis", 1999;
        Lee et al., "A Simple Unified Framework for Detecting
        Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018.

    Example:
        >>> layer = ood_layer(detector)
        >>> layer.score(embedder(detector)(images))  # [N], above 1: unusual
    """

    def __init__(
        self, parts: Sequence[tuple[int, int]] | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        self.parts = parts and [tuple(part) for part in parts]

    def build(self, input_shape):
        """Creates the weights of a layer that finds nothing unusual."""
        self._parts = self.parts or [(0, input_shape[-1])]
        self._gaussians = [
            _Gaussian(
                center=self._weight((stop - start,), "zeros"),
                scale=self._weight((stop - start,), "ones"),
                components=self._weight((stop - start, COMPONENTS), "zeros"),
                variances=self._weight((COMPONENTS,), "ones"),
                noise=self._weight((), "ones"),
            )
            for start, stop in self._parts
        ]
        self.limit = self._weight((), keras.initializers.Constant(np.inf))

    def _weight(self, shape, initializer):
        return self.add_weight(shape, initializer, trainable=False)

    def call(self, features):
        """Returns the features unchanged."""
        return features

    def distance(self, features):
        """The Mahalanobis distance of features `[N, D]` from training, `[N]`.

        It is divided by the root of the number of columns that count, so that
        about 1 is usual.
        """
        squared = [
            gaussian.squared_distance(features[:, start:stop])
            for gaussian, (start, stop) in zip(
                self._gaussians, self._parts, strict=True
            )
        ]
        width = sum(stop - start for start, stop in self._parts)
        return ops.sqrt(sum(squared) / width)

    def score(self, features):
        """The distance over its limit, `[N]`: above 1 is unusual."""
        return self.distance(features) / self.limit

    def fit(self, features: np.ndarray) -> None:
        """Fits the Gaussians; the limit is left as it is.

        Args:
            features: float `[N, D]` of training images.
        """
        for gaussian, (start, stop) in zip(
            self._gaussians, self._parts, strict=True
        ):
            gaussian.fit(features[:, start:stop])

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"parts": self.parts}


class _Gaussian(NamedTuple):
    """The weights of one Gaussian, for features of D columns."""

    center: keras.Variable
    scale: keras.Variable
    components: keras.Variable
    variances: keras.Variable
    noise: keras.Variable

    def squared_distance(self, features):
        """The squared Mahalanobis distance of features `[N, D]`, `[N]`."""
        x = (features - self.center) / self.scale
        x = ops.clip(x, -CLIP, CLIP)
        along = ops.matmul(x, self.components)
        rest = ops.sum(x**2, axis=-1) - ops.sum(along**2, axis=-1)
        return ops.sum(along**2 / self.variances, axis=-1) + (
            ops.maximum(rest, 0.0) / self.noise
        )

    def fit(self, features: np.ndarray) -> None:
        """Sets the weights from features of training images, `[N, D]`."""
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
    detector: keras.Model,
    training: np.ndarray,
    validation: Sequence[np.ndarray],
    rate: float = RATE,
) -> None:
    """Fits a detector's `OutOfDistributionScore`, and its limit.

    An image like those of validation exceeds the limit with a probability of
    at most the rate; of several data sets, one like those of any of them that
    has `dfk.models.conformal.required_images(rate)` images, or, if none has,
    one like those of all. If these, too, are fewer, there is no such limit, and
    nothing is ever out of distribution.

    Args:
        detector: trained.
        training: float `[N, D]`, what `dfk.models.embedder` makes of images
            that it was trained on; `TRAINING_IMAGES` are enough.
        validation: for each data set float `[M, D]`, likewise of images that
            it was not trained on.
        rate: the share of images like those of validation, in 0..1, that may
            be called out of distribution.

    Example:
        >>> fit(detector, network(training_images), [network(others)])
    """
    layer = ood_layer(detector)
    layer.fit(training)
    required = required_images(rate)
    enough = [each for each in validation if len(each) >= required]
    limits = [
        upper_quantile(np.asarray(layer.distance(features)), rate)
        for features in enough or [np.concatenate(validation)]
    ]
    layer.limit.assign(max(limits))
