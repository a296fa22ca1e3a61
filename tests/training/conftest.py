"""What tests of trainings share."""

import pytest
import small_detector

from dfk.models import registry
from dfk.training import self_blends
from dfk.training.config import Config
from dfk.training.train import train


@pytest.fixture(scope="package", autouse=True)
def small():
    """Registers the small detector for these tests alone."""
    small_detector.register()
    yield
    del registry._DETECTORS["small"]


@pytest.fixture(scope="package")
def config(faces_dir):
    return Config("small", data_dir=str(faces_dir), image_size=40, epochs=3)


@pytest.fixture(scope="package")
def run(config, small, tmp_path_factory):
    """A run that nothing disturbed."""
    return train(config, str(tmp_path_factory.mktemp("runs") / "whole"))


@pytest.fixture
def faces_found(monkeypatch):
    """Says where the faces are in images that show none."""
    eyes_nose_mouth = ((14, 16), (26, 16), (20, 22), (15, 28), (25, 28))
    face = self_blends.Face((8, 6, 24, 30), 1.0, eyes_nose_mouth)
    searched = []

    def find_faces(pixels):
        searched.append(pixels)
        return [face] if len(searched) != 1 else []

    monkeypatch.setattr(self_blends, "find_faces", find_faces)
    return searched
