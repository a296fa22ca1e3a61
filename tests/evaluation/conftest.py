import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image
from skilled import LABELS

import dfk
from dfk.evaluation import metrics, records
from dfk.evaluation.measure import evaluate
from dfk.evaluation.records import Scores
from dfk.models import Calibration, score_layer
from dfk.models.head import assemble
from dfk.runs import Run

SIZE = 16


@pytest.fixture(scope="session")
def face_folder(tmp_path_factory):
    """Makes a folder of images: reals are dark and fakes are bright."""

    def make(name="faces", classes=("real", "fake"), count=8):
        folder = tmp_path_factory.mktemp("data") / name
        generator = np.random.default_rng(0)
        for split in ("train", "valid", "test"):
            for label in classes:
                here = folder / split / label
                here.mkdir(parents=True)
                for i in range(count):
                    level = generator.uniform(20, 90)
                    level += 120 if label == "fake" else 0
                    pixels = generator.normal(level, 9, (SIZE, SIZE, 3))
                    image = Image.fromarray(pixels.astype(np.uint8))
                    image.save(here / f"{split}-{label}-{i}.png")
        return folder

    return make


@pytest.fixture(scope="session")
def swap_labels():
    """Copies a folder of images with the labels swapped."""

    def swap(faces, name):
        for split in ("train", "valid", "test"):
            for label, other in (("real", "fake"), ("fake", "real")):
                shutil.copytree(
                    faces / split / label, faces.parent / name / split / other
                )
        return faces.parent / name

    return swap


@pytest.fixture(scope="session")
def detector():
    """A detector that calls bright images fake."""
    rescale = keras.layers.Rescaling(1 / 255)
    model = assemble("tiny", SIZE, lambda images: [rescale(images)])
    # The mean of the three channels, 0.5 between dark and bright, times 20;
    # their deviations do not count.
    weights = np.array([20 / 3] * 3 + [0.0] * 3)[:, None]
    model.get_layer("logit").set_weights([weights, np.array([-10.0])])
    score_layer(model).calibration = Calibration(
        2.0, real_up_to=0.6, fake_down_to=0.4
    )
    return model


@pytest.fixture(scope="session")
def faces(face_folder):
    """A folder of images that no test changes."""
    return face_folder()


@pytest.fixture(scope="session")
def make_run(tmp_path_factory, detector):
    """Makes the folder of a finished run on a folder of images."""
    saved = tmp_path_factory.mktemp("detector") / "model.keras"
    detector.save(saved)

    def make(data_dir):
        run = tmp_path_factory.mktemp("run")
        config = {"model": "tiny", "dataset": None, "data_dir": str(data_dir)}
        config["format"] = dfk.FORMAT
        (run / "config.json").write_text(json.dumps(config))
        shutil.copy(saved, run)
        return run

    return make


@pytest.fixture(scope="session")
def evaluated(make_run, faces):
    """A run that no test changes, and the record of its one evaluation."""
    run = make_run(faces)
    return run, evaluate(run)


@pytest.fixture
def evaluated_run(evaluated, tmp_path):
    """A copy of that run, to write into."""
    return shutil.copytree(evaluated[0], tmp_path / "evaluated")


@pytest.fixture
def write_run(tmp_path):
    """Writes the folder of a finished run with its evaluation."""

    def write(
        name,
        probabilities,
        labels=LABELS,
        split="test",
        scored="/data/faces",
        **config,
    ):
        run = tmp_path / name
        run.mkdir(parents=True, exist_ok=True)
        groups = np.array([f"image{n:03d}" for n in range(len(labels))])
        config = {"model": "cnn", "unfreeze": "all", "seed": 0} | config
        config["format"] = dfk.FORMAT
        (run / "config.json").write_text(json.dumps(config))
        zipfile.ZipFile(run / "model.keras", "w").close()
        record = {
            "dataset": None,
            "data_dir": scored,
            "split": split,
            "command": "python -m dfk.evaluate",
            "images": len(labels),
            "metrics": {
                name: {"value": value}
                for name, value in metrics.measure(
                    labels, probabilities
                ).items()
            },
        }
        path = run / "results.json"
        results = json.loads(path.read_text()) if path.exists() else {}
        results["training"] = {"seconds": 61.0, "images": 1400}
        results.setdefault("evaluation", {})[f"faces-{split}"] = record
        path.write_text(json.dumps(results))
        verdicts = np.full(len(labels), "uncertain")
        scores = Scores(
            *(groups, groups, labels, probabilities),
            *(np.zeros(len(labels)), verdicts, verdicts, verdicts),
        )
        records.write_scores(Run(run), f"faces-{split}", scores)
        return run

    return write
