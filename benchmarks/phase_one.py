"""What cached features save: ten epochs of the head against one without them.

  python benchmarks/phase_one.py --data_dir=FACES --model=facenet

Without a cache, each epoch of the head runs the frozen backbone over all
training images. dfk runs it once, over each image and its mirror image, and
caches the features on disk; then epochs take seconds. Prints both times and
their ratio, and the same for the regression that dfk really fits.
"""

import os
import tempfile
import time

from absl import app, flags

from dfk import cli

FLAGS = flags.FLAGS

flags.DEFINE_string("data_dir", None, "Folder of pictures.", required=True)
flags.DEFINE_string("model", "facenet", "Detector.")
flags.DEFINE_string("weights", "default", "Its weights.")
flags.DEFINE_integer("image_size", 128, "Side of the pictures.")
flags.DEFINE_integer("limit", None, "Use only so many pictures.")
flags.DEFINE_integer("epochs", 10, "Epochs of the head on the features.")


def main(_):
    """Measures one after the other, and prints the times."""
    cli.start_tensorflow()
    from dfk import data, models

    split = data.load(
        data_dir=FLAGS.data_dir,
        image_size=FLAGS.image_size,
        splits=("train",),
        limit=FLAGS.limit,
    ).splits["train"]
    detector = models.build(FLAGS.model, FLAGS.image_size, FLAGS.weights)
    without = _seconds(_uncached_epoch, detector, split)
    with tempfile.TemporaryDirectory() as empty:
        os.environ["DFK_CACHE"] = empty
        cached = _seconds(_cached_epochs, detector, split)
    with tempfile.TemporaryDirectory() as empty:
        os.environ["DFK_CACHE"] = empty
        phase_one = _seconds(_phase_one, detector, split)
    print(f"{FLAGS.model}, {split.size} pictures")
    print(f"one epoch of the head without a cache      {without:7.1f} s")
    for name, seconds in (
        (f"{FLAGS.epochs} epochs on cached features, with flips", cached),
        ("dfk's phase one, a regression cross-validated", phase_one),
    ):
        print(f"{name:43}{seconds:7.1f} s  ratio {seconds / without:.2f}")


def _seconds(work, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def _head(width: int):
    import keras

    head = keras.Sequential(
        [
            keras.Input((width,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    head.compile("adam", "binary_crossentropy", jit_compile=False)
    return head


def _uncached_epoch(detector, split) -> None:
    """What Keras does when the backbone is frozen: forward, head, step."""
    import keras
    import tensorflow as tf

    from dfk.models import named_layers

    detector.trainable = False
    # In training, a detector does not average over flips.
    pooled = detector.get_layer(named_layers.POOLED).output
    features = keras.Model(detector.input, pooled)
    outputs = _head(pooled.shape[-1])(features(detector.input, training=True))
    model = keras.Model(detector.input, outputs)
    model.compile("adam", "binary_crossentropy", jit_compile=False)
    batches = split.examples.batch(32).map(
        lambda e: (tf.cast(e["image"], tf.float32), e["label"][:, None])
    )
    model.fit(batches, verbose=0)


def _cached_epochs(detector, split) -> None:
    from dfk import models
    from dfk.models.features import features

    found = features(models.pooled_flips(detector), split)
    rows = found.values.reshape(-1, found.values.shape[-1])
    labels = found.labels.repeat(found.values.shape[1])[:, None]
    _head(rows.shape[1]).fit(
        rows, labels, batch_size=32, epochs=FLAGS.epochs, verbose=0
    )


def _phase_one(detector, split) -> None:
    from dfk import models
    from dfk.training import strategies
    from dfk.training.head_fit import Source, fit_head

    recipe = models.get(FLAGS.model).recipe
    fit_head(detector, [Source("fake", split)], strategies.choose(), recipe)


if __name__ == "__main__":
    app.run(main)
