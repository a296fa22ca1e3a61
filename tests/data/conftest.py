import numpy as np
import pytest
from PIL import Image
from splits import SIZES


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, sizes in SIZES.items():
        for label, size in zip(("real", "fake"), sizes, strict=True):
            part = tmp_path / split / label
            part.mkdir(parents=True)
            for index in range(size):
                noise = rng.integers(0, 256, (30, 40, 3), np.uint8)
                Image.fromarray(noise).save(part / f"{index}.jpg")
    return tmp_path
