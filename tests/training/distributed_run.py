"""One process of a distributed run.

Its arguments: strategy, faces, run, where weights go, steps an update.
"""

import sys

import numpy as np
import small_detector
import tensorflow as tf

from dfk.training import train
from dfk.training.config import Config


def main(strategy, faces, workdir, weights_path, accumulate="1"):
    if strategy == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
    small_detector.register()

    # Only the chief writes its detector down, but all are to be compared.
    built = {}
    build = train._build

    def build_and_keep(*args):
        built["model"], built["tuning"] = build(*args)
        return built["model"], built["tuning"]

    train._build = build_and_keep
    train.train(
        Config(
            "small",
            data_dir=faces,
            image_size=40,
            epochs=3,
            strategy=strategy,
            accumulate=int(accumulate),
        ),
        workdir,
    )
    arrays = {
        f"weight{number}": value
        for number, value in enumerate(built["model"].get_weights())
    }
    losses = [row["loss"] for row in built["tuning"].history[1:]]
    np.savez(weights_path, losses=losses, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
