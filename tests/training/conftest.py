"""What tests of trainings share."""

import pytest

from dfk.training import self_blends
from dfk.training.config import Config
from dfk.training.experiment import train


@pytest.fixture(scope="session")
def config(faces_dir):
    return Config(
        "cnn", data_dir=str(faces_dir), image_size=40, epochs=3, batch_size=16
    )


@pytest.fixture(scope="session")
def run(config, tmp_path_factory):
    """A run that nothing disturbed."""
    return train(config, str(tmp_path_factory.mktemp("runs") / "whole"))


@pytest.fixture
def faces_found(monkeypatch):
    """Says where the faces are in images that show none."""
    eyes_nose_mouth = ((14, 16), (26, 16), (20, 22), (15, 28), (25, 28))
    face = self_blends.Face((8, 6, 24, 30), 1.0, eyes_nose_mouth)
    looked_at = []

    def find_faces(pixels):
        looked_at.append(pixels)
        return [face] if len(looked_at) != 1 else []

    monkeypatch.setattr(self_blends, "find_faces", find_faces)
    return looked_at
