"""A tiny detector, exported and served for real. Fixtures for two folders."""

import io
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dfk import models
from dfk.models.head import assemble
from dfk.runs import Run
from dfk.serving import export as export_module

SIZE = 32
BATCHING = Path(__file__).parents[1] / "serving/batching.config"


def build_tiny(seed: int = 1) -> keras.Model:
    """A detector of two convolutions, with a calibration of its own."""
    keras.utils.set_random_seed(seed)
    detector = assemble("tiny", SIZE, _two_convolutions)
    detector.get_layer("logit").bias.assign([0.1])
    models.score_layer(detector).calibration = models.Calibration(
        temperature=0.05, real_up_to=0.6, fake_down_to=0.4
    )
    return detector


def _two_convolutions(images):
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    early = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    late = keras.layers.Conv2D(6, 3, strides=2, activation="relu")(early)
    return [early, late]


def encode(pixels: np.ndarray, kind: str = "png", mode: str = "RGB") -> bytes:
    """An image file's bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def make_images(count: int = 6) -> list[bytes]:
    """Images of several sizes and formats, the same at each call."""
    random = np.random.default_rng(7)
    images = []
    for number in range(count):
        height, width = random.integers(20, 90, 2)
        light = random.integers(40, 250)
        pixels = random.integers(0, light, (height, width, 3), np.uint8)
        images.append(encode(pixels, ("png", "jpeg")[number % 2]))
    return images


def assert_any_server_can_load(graph) -> None:
    """Checks that a `GraphDef` has TensorFlow's own operations only.

    A model server knows no others, runs no Python and compiles nothing.
    """
    nodes = [*graph.node]
    for function in graph.library.function:
        nodes += function.node_def
        assert not function.attr["_XlaMustCompile"].b
    functions = {f.signature.name for f in graph.library.function}
    operations = {node.op for node in nodes} - functions
    unknown = {o for o in operations if not hasattr(tf.raw_ops, o)}
    assert unknown <= {"_Arg", "_Retval"}
    assert not {o for o in operations if "PyFunc" in o}


def save_run(detector: keras.Model, folder) -> None:
    """Writes what a finished run consists of."""
    folder.mkdir(parents=True)
    Run(folder).write_config({"model": detector.name, "image_size": SIZE})
    detector.save(folder / "model.keras")


def export_run(run, place) -> None:
    """Exports a run into a folder, with what a model server has beside it."""
    export_module.export(
        run, place / "saved_models", config=place / "models.config"
    )
    shutil.copy(BATCHING, place)


# Each folder of tests that imports the fixtures has its own, so what takes
# long is kept here for all of them.
_shared = {}


@pytest.fixture(scope="session")
def detector():
    return build_tiny()


@pytest.fixture(scope="session")
def images():
    return make_images()


@pytest.fixture(scope="session")
def run(detector, tmp_path_factory):
    if "run" not in _shared:
        _shared["run"] = tmp_path_factory.mktemp("runs") / "tiny"
        save_run(detector, _shared["run"])
    return _shared["run"]


@pytest.fixture(scope="session")
def _exported_once(run, tmp_path_factory):
    if "exported" not in _shared:
        place = tmp_path_factory.mktemp("exported")
        export_run(run, place)
        _shared["exported"] = place
    return _shared["exported"]


@pytest.fixture(scope="module")
def place(_exported_once, tmp_path_factory):
    """A folder with saved_models/tiny/1 and models.config."""
    copy = tmp_path_factory.mktemp("place") / "place"
    shutil.copytree(_exported_once, copy)
    return copy


if __name__ == "__main__":
    # For a model server elsewhere that the tests are to ask.
    target = Path(sys.argv[1])
    save_run(build_tiny(), target / "run")
    export_run(target / "run", target)
