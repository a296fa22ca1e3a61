"""How fast an exported graph is: a session on it against Keras.

  python benchmarks/exported_graph.py
  python benchmarks/exported_graph.py --model=clip --images=1

Both score the same pixels with the same random weights, in alternating rounds:
Keras with `predict_on_batch`, and the exported `images` signature in a session,
as a model server has it. Prints pictures a second, the median of the rounds'
ratios with its quartiles, and the largest difference of a probability.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import app, flags

from dfk import cli

FLAGS = flags.FLAGS

flags.DEFINE_multi_string("model", None, "Detectors; all, if none is named.")
flags.DEFINE_multi_integer("images", [1, 8], "Pictures a batch.")
flags.DEFINE_integer("image_size", 128, "Side of the pictures in pixels.")
flags.DEFINE_integer("rounds", 10, "Rounds that count.")
flags.DEFINE_float("seconds", 1.0, "Least seconds of each half of a round.")


def main(_):
    """Measures each detector, and prints a row for each size of a batch."""
    cli.start_tensorflow()
    from dfk import models

    print("detector           images   Keras  export   ratio   quartiles  diff")
    for name in FLAGS.model or models.names():
        with tempfile.TemporaryDirectory() as folder:
            _measure(name, Path(folder))


def _measure(name: str, folder: Path) -> None:
    from dfk import models
    from dfk.runs import Run
    from dfk.serving.export import export

    run = Run(folder)
    run.write_config({"model": name, "image_size": FLAGS.image_size})
    models.build(name, FLAGS.image_size, "none").save(run.model_path)
    detector = models.load(run.path)
    version = export(run.path, folder / "exported", config=folder / "config")
    exported = _session(version)
    for number in FLAGS.images:
        pixels = _pixels(number)
        _compare(
            name,
            number,
            lambda pixels=pixels: detector.predict_on_batch(pixels)[:, 0],
            lambda pixels=pixels: exported(pixels),
        )


def _session(version: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The exported signature `images`, with all its outputs."""
    import tensorflow as tf

    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(version))
    signature = loaded.signature_def["images"]
    outputs = {key: info.name for key, info in signature.outputs.items()}
    feed = signature.inputs["images"].name

    def run(pixels: np.ndarray) -> np.ndarray:
        return session.run(outputs, {feed: pixels})["fake_probability"]

    return run


def _compare(name: str, number: int, keras, exported) -> None:
    difference = np.abs(keras() - exported()).max()
    rates = [
        (_rate(keras, number), _rate(exported, number))
        for _ in range(FLAGS.rounds)
    ]
    slow, fast = np.median(rates, axis=0)
    ratios = [ours / theirs for theirs, ours in rates]
    low, ratio, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    print(
        f"{name:18}{number:7}{slow:8.1f}{fast:8.1f}{ratio:8.2f}"
        f"   {low:.2f}-{high:.2f}  {difference:.0e}",
        flush=True,
    )


def _rate(run: Callable[[], np.ndarray], number: int) -> float:
    """Pictures a second."""
    times, start = 0, time.perf_counter()
    while time.perf_counter() < start + FLAGS.seconds:
        run()
        times += 1
    return times * number / (time.perf_counter() - start)


def _pixels(number: int) -> np.ndarray:
    """Smooth pictures, unlike noise."""
    coarse = np.random.default_rng(0).uniform(0, 255, (number, 8, 8, 3))
    side = FLAGS.image_size // 8
    return coarse.repeat(side, axis=1).repeat(side, axis=2).astype("float32")


if __name__ == "__main__":
    app.run(main)
