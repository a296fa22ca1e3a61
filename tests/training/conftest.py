"""What tests of trainings share."""

import pytest

from dfk.training import blends


@pytest.fixture
def faces_found(monkeypatch):
    """Says where the faces are in pictures that show none."""
    eyes_nose_mouth = ((14, 16), (26, 16), (20, 22), (15, 28), (25, 28))
    face = blends.Face((8, 6, 24, 30), 1.0, eyes_nose_mouth)
    looked_at = []

    def find_faces(pixels):
        looked_at.append(pixels)
        return [face] if len(looked_at) != 1 else []

    monkeypatch.setattr(blends, "find_faces", find_faces)
    return looked_at
