import matplotlib
import numpy as np
import pytest
from PIL import Image

from dfk.evaluation import plots


@pytest.fixture
def faces():
    generator = np.random.default_rng(0)
    labels = np.arange(80) % 2
    return labels, (generator.random(80) + labels) / 2


def test_every_plot_is_a_png(tmp_path, faces):
    files = plots.write_all(
        tmp_path / "plots", "faces-test", *faces, (0.3, 0.6)
    )
    assert sorted(file.name for file in files) == [
        "confusion-faces-test.png",
        "precision-recall-faces-test.png",
        "reliability-faces-test.png",
        "roc-faces-test.png",
        "scores-faces-test.png",
    ]
    for file in files:
        with Image.open(file) as image:
            image.load()
            assert (image.format, image.size) == ("PNG", (960, 870))
            assert len(image.getcolors(2**20)) > 50
    assert sorted(tmp_path.glob("plots/*")) == sorted(files)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_curves(tmp_path, faces, label):
    labels, scores = faces
    files = plots.write_all(
        tmp_path, "x", np.full_like(labels, label), scores, (0.0, 1.0)
    )
    assert [f.name for f in files] == ["scores-x.png", "confusion-x.png"]


def test_the_users_own_matplotlib_is_left_alone(tmp_path, faces):
    before = dict(matplotlib.rcParams)
    plots.write_all(tmp_path, "x", *faces, (0.5, 0.5))
    assert dict(matplotlib.rcParams) == before
