"""How fast CLIP's tower is: dfk's layers against onnxruntime, in float32.

  python benchmarks/clip_inference.py

Both run the same blocks with the same weights on the same pictures, in
alternating rounds. onnxruntime's graph is the one that the weights come in,
with its quantised products made float again, and cut off after the last block
that the detector's head sees. Prints pictures a second, the largest difference,
and the ratio.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from dfk import cli

FLAGS = flags.FLAGS

flags.DEFINE_integer("batch_size", 8, "Pictures a batch.")
flags.DEFINE_integer("rounds", 10, "Rounds that count.")
flags.DEFINE_integer("batches", 4, "Batches a round.")


def main(_):
    """Measures both alternately, and prints their medians."""
    cli.start_tensorflow()
    rng = np.random.default_rng(0)
    # As a detector gets them; a picture is smooth, unlike noise.
    coarse = rng.uniform(0, 255, (FLAGS.batch_size, 14, 14, 3))
    pictures = coarse.repeat(16, axis=1).repeat(16, axis=2).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        towers = {
            "onnxruntime": _onnxruntime(pictures, Path(folder)),
            "dfk": _dfk(pictures),
        }
        seconds = {name: [] for name in towers}
        # The first round does not count.
        for number in range(FLAGS.rounds + 1):
            for name, run in towers.items():
                start = time.perf_counter()
                for _ in range(FLAGS.batches):
                    run()
                if number:
                    seconds[name].append(time.perf_counter() - start)
    theirs, ours = (run() for run in towers.values())
    difference = np.abs(theirs - ours).max() / np.abs(theirs).max()
    rates = {
        name: FLAGS.batches * FLAGS.batch_size / statistics.median(values)
        for name, values in seconds.items()
    }
    print(f"CLIP's blocks 1 to {_last()}, batches of {FLAGS.batch_size}")
    for name, rate in rates.items():
        print(f"{name:12}{rate:6.2f} pictures a second")
    print(f"largest difference {difference:.1e} of the largest value")
    print(f"ratio {rates['dfk'] / rates['onnxruntime']:.2f}")


def _last() -> int:
    from dfk.models import clip

    return clip.SEEN[-1]


def _dfk(pictures):
    import keras
    import tensorflow as tf

    from dfk import models

    detector = models.build("clip", pictures.shape[1])
    tokens = detector.get_layer(f"block{_last()}").output
    network = tf.function(keras.Model(detector.input, tokens))
    pixels = tf.constant(pictures)
    return lambda: network(pixels, training=False).numpy()


def _onnxruntime(pictures, folder: Path):
    import onnx
    import onnxruntime

    from dfk.models import clip, clip_weights

    model = onnx.load(clip_weights.ONNX.fetch())
    _make_float(model)
    whole, cut = folder / "whole.onnx", folder / "cut.onnx"
    onnx.save(model, whole)
    output = f"/vision_model/encoder/layers.{_last() - 1}/Add_1_output_0"
    onnx.utils.extract_model(whole, cut, ["pixel_values"], [output])
    session = onnxruntime.InferenceSession(
        cut, providers=["CPUExecutionProvider"]
    )
    normal = (pictures / 255 - clip.MEAN) / clip.DEVIATION
    pixels = normal.transpose(0, 3, 1, 2).astype("float32")
    return lambda: session.run(None, {"pixel_values": pixels})[0]


def _make_float(model) -> None:
    """Replaces each quantised product by one with the weights as float32."""
    from onnx import helper, numpy_helper

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    used_by = {name: node for node in graph.node for name in node.input}

    def array(name):
        return numpy_helper.to_array(weights[name]).astype("float32")

    replaced, dropped = {}, set()
    for node in graph.node:
        if node.op_type != "MatMulInteger":
            continue
        _, quantised, _, zero = node.input
        scale = array(quantised.replace("_quantized", "_scale"))
        name = quantised.replace("_quantized", "_float")
        values = (array(quantised) - array(zero)) * scale
        graph.initializer.append(numpy_helper.from_array(values, name))
        # DynamicQuantizeLinear, MatMulInteger, Cast and Mul become one product.
        quantise = made_by[node.input[0]]
        cast = used_by[node.output[0]]
        scaled = used_by[cast.output[0]]
        replaced[node.name] = helper.make_node(
            "MatMul", [quantise.input[0], name], scaled.output
        )
        scales = (made_by.get(name) for name in scaled.input)
        dropped |= {quantise.name, cast.name, scaled.name}
        dropped |= {each.name for each in scales if each is not None}
    nodes = [
        replaced.get(node.name, node)
        for node in graph.node
        if node.name not in dropped
    ]
    del graph.node[:]
    graph.node.extend(nodes)


if __name__ == "__main__":
    app.run(main)
