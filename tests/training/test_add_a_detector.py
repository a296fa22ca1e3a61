"""The documentation's example of a detector of one's own trains."""

import re
from pathlib import Path

import numpy as np
import pytest

from dfk import data, models
from dfk.models import registry
from dfk.training.config import Config
from dfk.training.train import train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example():
    """The block of code that registers the detector."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
        if re.search(r"@register\(\s*\"mine\"", block)
    ]
    assert blocks, "no page shows how a detector is added"
    yield blocks[0]
    registry._DETECTORS.pop("mine", None)


@pytest.mark.slow
def test_a_detector_of_ones_own_trains_loads_and_scores(
    example, faces_dir, tmp_path
):
    exec(example, {"__name__": "mine"})
    assert "mine" in models.names()
    faces = {"data_dir": str(faces_dir), "image_size": 40}
    run = train(Config("mine", epochs=1, **faces), str(tmp_path / "mine"))
    assert run.config["plan"]["stages"] == "early, late"
    detector = models.load(run.path)
    test = data.load(**faces, splits=["test"]).splits["test"]
    images = np.stack([example["image"] for example in test.examples])
    scores = detector(images.astype("float32")).numpy()
    assert scores.shape == (40, 1)
    assert np.ptp(scores) > 0
    assert ((scores >= 0) & (scores <= 1)).all()
