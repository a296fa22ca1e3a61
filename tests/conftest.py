"""Small real files for all tests: images whose fakes are easy to tell."""

import os

import numpy as np
import pytest
from PIL import Image

from dfk import cli

# As every command does: quiet, and faster.
cli.start_tensorflow()


def _write_faces(folder, counts, size=40, seed=0):
    """Writes a folder data set: smooth images, and ones with a grid on top.

    Args:
        folder: where the splits go.
        counts: images per class, by the split's folder name.
        size: side of the images in pixels.
        seed: of the images.
    """
    rng = np.random.default_rng(seed)
    grid = 20 * (np.indices((size, size)).sum(axis=0) % 2)[..., None]
    for split, count in counts.items():
        for label in ("real", "fake"):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                coarse = rng.integers(40, 200, (5, 5, 3), dtype="uint8")
                smooth = Image.fromarray(coarse).resize((size, size))
                pixels = np.asarray(smooth, "int16")
                if label == "fake":
                    pixels = pixels + grid
                Image.fromarray(pixels.astype("uint8")).save(
                    folder / split / label / f"{label}{number:03d}.png"
                )


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keeps the tests out of the user's own cache."""
    os.environ["DFK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def quick_intervals():
    """Intervals from few resamples, which are quick and not accurate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dfk.evaluation.statistics.RESAMPLES", 50)
        yield


@pytest.fixture(scope="session")
def faces_dir(tmp_path_factory):
    """A folder data set: 24 + 24 training, 20 + 20 other images."""
    folder = tmp_path_factory.mktemp("faces")
    _write_faces(folder, {"train": 24, "valid": 20, "test": 20})
    return folder


@pytest.fixture(scope="session")
def write_faces():
    """Gives `_write_faces`, for a test that needs a data set of its own."""
    return _write_faces


def pytest_terminal_summary(terminalreporter):
    """Says which servers the tests of the serving contract ran on."""
    ran = [
        report.nodeid
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call"
    ]
    counts = {
        name: sum(f"[{name}" in nodeid for nodeid in ran)
        for name in ("stand-in", "model-server")
    }
    if any(counts.values()):
        terminalreporter.write_line(
            "serving contract: "
            + ", ".join(f"{count} on {name}" for name, count in counts.items())
        )
