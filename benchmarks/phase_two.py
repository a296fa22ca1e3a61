"""The cost of a fine-tuning step: dfk's loop against Keras's bare `fit`.

  python benchmarks/phase_two.py --model=facenet

Both train the same layers of the same detector on the same batches with the
same optimizer, in several alternating rounds. dfk's loop also averages the
weights and works with several workers; the ratio says what that costs.
"""

import statistics
import tempfile
import time

import numpy as np
from absl import app, flags

from dfk import cli

FLAGS = flags.FLAGS

flags.DEFINE_string("model", "facenet", "Detector.")
flags.DEFINE_string("weights", "none", "Its weights; they cost the same.")
flags.DEFINE_integer("image_size", 128, "Side of the pictures.")
flags.DEFINE_integer("batch_size", 32, "Pictures a step.")
flags.DEFINE_integer("steps", 4, "Steps a round.")
flags.DEFINE_integer("rounds", 5, "Rounds that count.")


class Batches:
    """One random batch, repeated, with the methods of `TrainingBatches`."""

    def __init__(self):
        import tensorflow as tf

        rng = np.random.default_rng(0)
        shape = (FLAGS.batch_size, FLAGS.image_size, FLAGS.image_size, 3)
        images = rng.uniform(0, 255, shape).astype("float32")
        labels = rng.integers(0, 2, (FLAGS.batch_size, 1)).astype("float32")
        batch = tf.data.Dataset.from_tensors((images, labels)).cache()
        self.steps = FLAGS.steps
        self.dataset = batch.repeat(self.steps).prefetch(1)

    def epoch(self, number, context):
        """The batches of any epoch."""
        del number, context
        return self.dataset


def main(_):
    """Measures both alternately, and prints their medians."""
    cli.start_tensorflow()
    batches = Batches()
    bare, dfk = _bare_fit(batches), _dfk(batches)
    loops = {"Keras's fit": bare, "dfk's loop": dfk}
    seconds = {name: [] for name in loops}
    # The first round traces the graphs and does not count.
    for number in range(FLAGS.rounds + 1):
        for name, take in loops.items():
            start = time.perf_counter()
            take()
            if number:
                seconds[name].append(time.perf_counter() - start)
    medians = {
        name: statistics.median(values) / FLAGS.steps
        for name, values in seconds.items()
    }
    print(f"{FLAGS.model}, batches of {FLAGS.batch_size}, medians")
    for name, step in medians.items():
        print(f"{name:12}{1000 * step:9.1f} ms a step")
    theirs, ours = medians.values()
    print(f"ratio {theirs / ours:.3f}")


def _trainable():
    """A detector as phase two has it, and its optimizer."""
    from dfk import models
    from dfk.training import optimizer

    detector = models.get(FLAGS.model)
    model = models.build(FLAGS.model, FLAGS.image_size, FLAGS.weights)
    stages = optimizer.trained_stages(detector, detector.recipe.unfreeze)
    optimizer.unfreeze(model, stages, statistics=False)
    rates = optimizer.stage_rates(stages, detector.recipe.stage_decay)
    return model, optimizer.StagewiseAdamW(rates, learning_rate=1e-5)


def _bare_fit(batches):
    model, optimizer = _trainable()
    model.compile(optimizer, "binary_crossentropy", jit_compile=False)
    return lambda: model.fit(batches.dataset, verbose=0)


def _dfk(batches):
    from dfk import models
    from dfk.runs import Run
    from dfk.training import strategies
    from dfk.training.loop import FineTuning

    model, optimizer = _trainable()
    recipe = models.get(FLAGS.model).recipe
    run = Run(tempfile.mkdtemp())
    tuning = FineTuning(model, optimizer, strategies.choose(), run, recipe)
    return lambda: tuning.train_epoch(batches, 1)


if __name__ == "__main__":
    app.run(main)
