"""Several data sets become one detector, with a class for each family."""

import shutil

import numpy as np
import pytest

from dfk import data, models
from dfk.errors import UserError
from dfk.training.plan import Config
from dfk.training.train import train


@pytest.fixture(scope="module")
def sources(write_faces, tmp_path_factory):
    """Two families of fakes, and reals alone."""
    root = tmp_path_factory.mktemp("sources")
    counts = {"train": 12, "valid": 20}
    for seed, name in enumerate(("grids", "others", "reals")):
        write_faces(root / name, counts, seed=seed)
    for split in counts:
        shutil.rmtree(root / "reals" / split / "fake")
    return ",".join(str(root / name) for name in ("grids", "others", "reals"))


@pytest.fixture(scope="module")
def run(sources, tmp_path_factory):
    config = Config(
        "cnn", data_dir=sources, image_size=40, unfreeze="none", epochs=1
    )
    return train(config, str(tmp_path_factory.mktemp("run") / "run"))


def test_reals_alone_are_a_source_beside_others(sources):
    faces = data.load(None, sources, 40, ("train",))
    assert faces.families == ["grids", "others"]
    with pytest.raises(UserError, match="no fake pictures"):
        data.load(None, sources.rsplit(",", 1)[1], 40, ("train",))


def test_each_family_is_a_class(run):
    detector = models.load(run.path)
    assert detector.get_layer("logit").families == ["grids", "others"]
    assert detector.get_layer("classes").output.shape == (None, 3)
    assert np.any(detector.get_layer("classes").kernel.numpy())
    assert run.config["plan"]["families"] == "grids, others"


def test_limits_rest_on_the_validation_images_of_all_sources(run):
    calibration = models.score_layer(models.load(run.path)).calibration
    assert calibration.images == (60, 40)
