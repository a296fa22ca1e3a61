"""Images a second from files to batches: dfk against Keras's own loader.

  python benchmarks/input_pipeline.py --data_dir=FACES

Both read the same files of the training split, resize them and make batches.
dfk caches the decoded images, so the first epoch and later ones are measured
separately. dfk is measured with its augmentation as well; Keras's loader has
none.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path

from absl import app, flags

from dfk import cli

FLAGS = flags.FLAGS

flags.DEFINE_string("data_dir", None, "Folder of pictures.", required=True)
flags.DEFINE_integer("image_size", 128, "Side of the pictures.")
flags.DEFINE_integer("batch_size", 32, "Pictures a batch.")
flags.DEFINE_integer("epochs", 3, "Epochs after the first.")
flags.DEFINE_integer("rounds", 5, "Rounds, each from the files again.")


def main(_):
    """Measures all pipelines alternately; prints their rates and ratios."""
    cli.start_tensorflow()
    # Once unmeasured, so that all then read files from the page cache.
    _rate(_keras(Path()))
    pipelines = {
        "image_dataset_from_directory": _keras,
        "dfk": _dfk,
        "dfk, augmented": _augmented,
    }
    first, later = (
        {name: [] for name in pipelines},
        {name: [] for name in pipelines},
    )
    for _ in range(FLAGS.rounds):
        for name, build in pipelines.items():
            with tempfile.TemporaryDirectory() as scratch:
                epoch = build(Path(scratch))
                first[name].append(_rate(epoch))
                later[name] += [_rate(epoch) for _ in range(FLAGS.epochs)]
    print(f"{'images a second, medians':30}{'first epoch':>20}{'later':>20}")
    for name in pipelines:
        cells = []
        for rates in (first, later):
            rate, theirs = map(
                statistics.median,
                (rates[name], rates["image_dataset_from_directory"]),
            )
            cells.append(f"{rate:8.0f}  ratio {rate / theirs:5.2f}")
        print(f"{name:30}" + "".join(f"{cell:>22}" for cell in cells))


def _rate(epoch) -> float:
    start = time.perf_counter()
    images = sum(int(images.shape[0]) for images, _ in epoch())
    return images / (time.perf_counter() - start)


def _keras(scratch: Path):
    del scratch
    import keras

    from dfk.data import folders

    root = folders.root(Path(FLAGS.data_dir))
    dataset = keras.utils.image_dataset_from_directory(
        root / "train",
        label_mode="binary",
        image_size=(FLAGS.image_size, FLAGS.image_size),
        batch_size=FLAGS.batch_size,
        seed=0,
        verbose=False,
    )
    return lambda: dataset


def _split():
    from dfk import data

    return data.load(
        data_dir=FLAGS.data_dir, image_size=FLAGS.image_size, splits=("train",)
    ).splits["train"]


def _dfk(scratch: Path):
    from dfk.data.faces import decoded

    split = _split()
    batches = (
        decoded(split, scratch)
        .shuffle(split.size + 1, seed=0)
        .batch(FLAGS.batch_size)
        .prefetch(2)
    )
    return lambda: batches


def _augmented(scratch: Path):
    import tensorflow as tf

    from dfk.training.batches import TrainingBatches

    batches = TrainingBatches(_split(), FLAGS.batch_size, 0, scratch)
    numbers = itertools.count(1)
    return lambda: batches.epoch(next(numbers), tf.distribute.InputContext())


if __name__ == "__main__":
    app.run(main)
