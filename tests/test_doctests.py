"""The examples in docstrings: of the Python API, and of some other modules.

What is not listed here has examples that show a call among others, with names
that come from there.
"""

import contextlib
import doctest
import importlib
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pillow_heif
import pytest
import tensorflow as tf
from PIL import Image

import dfk
from dfk import models
from dfk.models import built_in, registry
from dfk.models.head import assemble
from dfk.runs import Run
from dfk.serving.export import export
from dfk.serving.server import serving

EXAMPLES = Path(dfk.__file__).with_name("examples")
# What a user imports.
API = [
    "dfk",
    "dfk.models",
    "dfk.models.weights",
    "dfk.prediction.annotate",
    "dfk.prediction.crops",
    "dfk.prediction.detector",
    "dfk.prediction.inputs",
    "dfk.prediction.paths",
    "dfk.prediction.predictions",
    "dfk.prediction.predictor",
    "dfk.prediction.transcode",
    "dfk.evaluation.explain",
    "dfk.serving.client",
]
# What needs nothing but its arguments.
OTHERS = [
    "dfk.auditing.leaks",
    "dfk.data.groups",
    "dfk.models.conformal",
    "dfk.models.families",
    "dfk.models.head",
    "dfk.models.registry",
    "dfk.models.scaling",
    "dfk.runs",
    "dfk.serving.check",
    "dfk.training.strategies",
]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _always_fake():
    """A detector that answers .93 whatever it is shown."""
    detector = assemble(
        "facenet", 128, lambda x: [keras.layers.Conv2D(4, 3, strides=8)(x)]
    )
    logit = detector.get_layer("logit")
    logit.kernel.assign(tf.zeros_like(logit.kernel))
    logit.bias.assign([np.log(0.93 / 0.07)])
    models.score_layer(detector).calibration = models.Calibration(
        real_up_to=0.6, fake_down_to=0.4
    )
    return detector


def _write_pictures(place):
    picture = Image.open(EXAMPLES / "photograph.jpg").convert("RGB")
    for name in ("photo", "face", "a", "b", "album/1", "album/2", "b/photo"):
        path = place / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture.save(path)
    family = np.tile(np.asarray(picture), (2, 2, 1))
    Image.fromarray(family).save(place / "family.jpg")
    pillow_heif.from_pillow(picture).save(place / "IMG_0001.HEIC")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the examples name."""
    place = tmp_path_factory.mktemp("place")
    _write_pictures(place)
    run = Run(place / "runs/facenet")
    run.write(_always_fake(), {}, {"model": "facenet"})
    config = place / "serving/models.config"
    for name in ("clip", "facenet"):
        version = export(run.path, place / "saved_models", name, config)
        version.rename(version.with_name("3"))
    for seed in (0, 1):
        shutil.copytree(run.path, place / f"runs/cnn/seed-{seed}")
    repeats = {"seeds": [0, 1], "config": {}}
    (place / "runs/cnn/repeats.json").write_text(json.dumps(repeats))
    return place


@pytest.fixture(scope="module")
def server(place):
    """The address of a server that the examples find at another port."""
    config, saved_models = place / "serving/models.config", "saved_models"
    with serving(config, place / saved_models, port=0) as server:
        yield f"localhost:{server.port}"


@pytest.fixture(scope="module")
def names(place):
    """What the examples use without saying where it comes from."""
    with contextlib.chdir(place):
        detector = dfk.load("runs/facenet")
        return {
            "dfk": dfk,
            "np": np,
            "tf": tf,
            "keras": keras,
            "models": models,
            "Path": Path,
            "detector": detector,
            "prediction": detector.predict("a.jpg")[0],
            "limits": models.score_layer(detector.detector).limits,
            "predictions": detector.predict(["photo.jpg", "b/photo.jpg"]),
        }


@pytest.mark.parametrize("module", [*API, *OTHERS])
def test_the_examples_are_true(module, place, server, names, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(built_in, "load", _always_fake)
    # An example registers a detector, which other tests are not to see.
    monkeypatch.setattr(registry, "_DETECTORS", dict(registry._DETECTORS))
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(importlib.import_module(module), extraglobs=names)
    assert found
    problems = []
    for example in found:
        for line in example.examples:
            line.source = line.source.replace("localhost:8500", server)
        runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
        runner.run(example, out=problems.append)
    assert not problems, "".join(problems)
