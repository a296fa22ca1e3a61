"""Half precision on two devices, of which the second one overflows."""

import tempfile

import keras
import numpy as np
import tensorflow as tf
from small_detector import RECIPE

from dfk.runs import Run
from dfk.training import strategies
from dfk.training.loop import FineTuning


class Batches:
    """One batch, whose second half has an image of huge values."""

    steps = 1

    def epoch(self, number, context):
        images = np.ones((4, 2), np.float32)
        images[3] = 1e38
        labels = np.zeros((4, 1), np.float32)
        pairs = tf.data.Dataset.from_tensor_slices((images, labels))
        return pairs.batch(4 // context.num_replicas_in_sync)


def main():
    (cpu,) = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    strategy = strategies.choose("mirrored")
    assert strategy.num_replicas_in_sync == 2
    for accumulate in (1, 2):
        with strategy.scope():
            inputs = keras.Input((2,))
            outputs = keras.layers.Dense(
                1, activation="sigmoid", kernel_initializer="ones"
            )(inputs)
            model = keras.Model(inputs, outputs)
            optimizer = keras.optimizers.LossScaleOptimizer(
                keras.optimizers.SGD(0.1)
            )
        tuning = FineTuning(
            model,
            optimizer,
            strategy,
            Run(tempfile.mkdtemp()),
            RECIPE,
            accumulate=accumulate,
        )
        tuning.train_epoch(Batches(), 1)
        kernel, bias = model.get_weights()
        np.testing.assert_array_equal(kernel, [[1], [1]])
        np.testing.assert_array_equal(bias, [0])


if __name__ == "__main__":
    main()
