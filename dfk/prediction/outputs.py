"""One forward pass: all outputs of a detector for a batch of images."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from dfk.models.parts import embedder, ood_layer


class Outputs(NamedTuple):
    """The outputs of a detector for N images.

    Args:
        probability: float32 `[N]` in 0..1, the calibrated probability of fake.
        ood_score: float32 `[N]`; above 1 is out of distribution.
        features: float32 `[N, D]`, which both are computed from.
    """

    probability: tf.Tensor
    ood_score: tf.Tensor
    features: tf.Tensor


def forward_pass(detector: keras.Model) -> Callable[[tf.Tensor], Outputs]:
    """The function from images to all outputs of a detector.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A function of images, float32 `[N, S, S, 3]` in 0..255, that runs the
        network once and can be used inside a `tf.function`.

    Example:
        >>> forward_pass(load("runs/facenet"))(images).probability
        <tf.Tensor: shape=(1,), dtype=float32, numpy=array([0.93], ...)>
    """
    network = keras.Model(
        detector.input, [detector.output, embedder(detector).output]
    )
    ood = ood_layer(detector)

    def run(images: tf.Tensor) -> Outputs:
        scores, features = network(images, training=False)
        return Outputs(scores[:, 0], ood.score(features), features)

    return run
