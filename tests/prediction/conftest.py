"""Detectors to be asked, and pictures to ask them about."""

import pytest
from tiny import _exported_once, detector, images, place, run

import dfk
from dfk.images import faces
from dfk.prediction.predictions import Score
from dfk.prediction.predictor import Predictor

__all__ = ["_exported_once", "detector", "images", "place", "run"]


@pytest.fixture(scope="module")
def loaded(run):
    return dfk.load(run)


@pytest.fixture(scope="module")
def files(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number, image in enumerate(images):
        path = folder / f"{number}.png"
        path.write_bytes(image)
        paths.append(str(path))
    return paths


class Brightness(Predictor):
    """A detector of no network: the first byte decides, 255 is fake."""

    name = "brightness"

    def __init__(self):
        self.requests = []

    def _score_batch(self, image_bytes):
        self.requests.append(len(image_bytes))
        return [self._score(image) for image in image_bytes]

    def _score(self, image):
        if not image:
            return Score(float("nan"), "unreadable", "not a picture")
        if image[0] == 100:
            return Score(100 / 255, "uncertain", "too close to call")
        return Score(image[0] / 255, ("real", "fake")[image[0] > 127], "")


@pytest.fixture
def brightness():
    return Brightness()


@pytest.fixture
def find(monkeypatch):
    """Says which faces are in every image: no photograph is at hand."""

    def find(*found):
        levels = {
            faces.Face(box, confidence, ()): bytes([level])
            for box, confidence, level in found
        }
        monkeypatch.setattr(faces, "find_faces", lambda _: list(levels))
        monkeypatch.setattr(faces, "crop_face", lambda _, face: face)
        monkeypatch.setattr(faces, "stored_jpeg", lambda face: levels[face])

    return find
