"""What happens to training pictures on their way to the detector."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf


def augmenter(seed: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """A random change of pictures that leaves their label true.

    Mirrored, shifted by up to a twentieth of the side, and sometimes stored
    again as JPEG, softened or given another light: what happens to honest
    pictures on their way to a user. All of it is mild, since a strong blur or
    compression wipes out the traces that the detector is to learn.

    Args:
        seed: two augmenters of one seed make the same changes in the same
            order of calls.

    Returns:
        A function from pixels uint8 `[N, S, S, 3]` to float32 `[N, S, S, 3]`
        in 0..255, to be mapped over batches one after the other.

    Example:
        >>> change = augmenter(seed=1)
        >>> batches = batches.map(lambda x, labels: (change(x), labels))
    """
    from keras_cv import layers
    from keras_cv.core import UniformFactorSampler

    seeds = np.random.SeedSequence(seed).generate_state(7) >> 1
    seeds = iter(seeds.tolist())

    def between(low: float, high: float) -> UniformFactorSampler:
        # Seeded here, since some layers do not hand their own seed on.
        return UniformFactorSampler(low, high, seed=next(seeds))

    geometry = [
        layers.RandomFlip("horizontal", seed=next(seeds)),
        layers.RandomTranslation(
            0.05, 0.05, fill_mode="reflect", seed=next(seeds)
        ),
    ]
    light = [
        layers.RandomBrightness(between(-0.1, 0.1), value_range=(0, 1)),
        layers.RandomSaturation(between(0.45, 0.55)),
    ]
    # keras-cv's JPEG layer clips floating-point pixels to 0..1.
    signal = [
        layers.RandomJpegQuality(between(60, 100)),
        layers.RandomGaussianBlur(3, between(0.0, 1.0)),
    ]
    # On the CPU like the pipeline it works in, even where there is a GPU.
    with tf.device("cpu:0"):
        coin = tf.random.Generator.from_seed(next(seeds))

    def degrade(image: tf.Tensor) -> tf.Tensor:
        for layer in signal:
            image = tf.cond(
                coin.uniform(()) < 0.3,
                functools.partial(layer, image, training=True),
                functools.partial(tf.identity, image),
            )
        return image

    def change(images: tf.Tensor) -> tf.Tensor:
        x = tf.cast(images, tf.float32)
        for layer in geometry:
            x = layer(x, training=True)
        x = x / 255.0
        for layer in light:
            x = layer(x, training=True)
        # One by one: in parallel, pictures would draw their random numbers
        # in an order that differs from run to run.
        x = tf.map_fn(
            degrade, tf.clip_by_value(x, 0.0, 1.0), parallel_iterations=1
        )
        return x * 255.0

    return change
