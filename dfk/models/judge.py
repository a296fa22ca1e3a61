"""All that a detector has to say of a batch of pictures."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from dfk.models.head import embedder
from dfk.models.novelty import novelty_gauge


class Judgement(NamedTuple):
    """What a detector says of N pictures.

    Args:
        probability: float32 `[N]` in 0..1, the calibrated probability of fake.
        novelty: float32 `[N]`; above 1 is unlike the training pictures.
        features: float32 `[N, D]`, what both were read from.
    """

    probability: tf.Tensor
    novelty: tf.Tensor
    features: tf.Tensor


def judge(detector: keras.Model) -> Callable[[tf.Tensor], Judgement]:
    """The function from pictures to all that a detector says of them.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A function of images, float32 `[N, S, S, 3]` in 0..255, that runs the
        network once and can be used inside a `tf.function`.

    Example:
        >>> judge(load("runs/facenet"))(images).probability
        <tf.Tensor: shape=(1,), dtype=float32, numpy=array([0.93], ...)>
    """
    network = keras.Model(
        detector.input, [detector.output, embedder(detector).output]
    )
    gauge = novelty_gauge(detector)

    def run(images: tf.Tensor) -> Judgement:
        scores, features = network(images, training=False)
        return Judgement(scores[:, 0], gauge.novelty(features), features)

    return run
