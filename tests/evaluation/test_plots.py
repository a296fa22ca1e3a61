import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import precision_recall_curve, roc_curve

from dfk.data.folders import LABELS
from dfk.evaluation import metrics, plots, robustness_plots


@pytest.fixture
def faces():
    generator = np.random.default_rng(0)
    labels = np.arange(80) % 2
    return labels, (generator.random(80) + labels) / 2


@pytest.fixture
def axes():
    return Figure().add_subplot()


def test_every_plot_is_a_png_and_the_users_matplotlib_is_left_as_it_was(
    tmp_path, faces
):
    before = dict(matplotlib.rcParams)
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
    assert sorted(tmp_path.glob("plots/*")) == sorted(files)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_curves(tmp_path, faces, label):
    labels, scores = faces
    files = plots.write_all(
        tmp_path, "x", np.full_like(labels, label), scores, (0.0, 1.0)
    )
    assert [f.name for f in files] == ["scores-x.png", "confusion-x.png"]


def test_the_roc_curve_and_its_equal_error_rate_are_drawn(axes, faces):
    plots.draw_roc(axes, *faces)
    _, curve, point = axes.lines
    fpr, tpr, _ = roc_curve(*faces)
    np.testing.assert_array_equal(curve.get_xydata(), np.stack([fpr, tpr], 1))
    measured = metrics.measure(*faces)
    eer = measured["eer"]
    assert point.get_xydata().tolist() == [[eer, 1 - eer]]
    assert f"{measured['roc_auc']:.3f}" in axes.get_title(loc="left") or (
        f"{measured['roc_auc']:.3f}" in axes.get_title()
    )


def test_precision_is_drawn_against_recall(axes, faces):
    plots.draw_precision_recall(axes, *faces)
    chance, curve = axes.lines
    precision, recall, _ = precision_recall_curve(*faces)
    np.testing.assert_array_equal(
        curve.get_xydata(), np.stack([recall, precision], 1)
    )
    assert set(chance.get_ydata()) == {0.5}


def test_the_reliability_curve_is_that_of_the_bins(axes, faces):
    plots.draw_reliability(axes, *faces)
    bins = metrics.reliability_bins(*faces)
    line, _, (bars,) = axes.containers[0].lines
    np.testing.assert_array_equal(
        line.get_xydata(), np.stack([bins["predicted"], bins["observed"]], 1)
    )
    (_, low), (_, high) = bars.get_segments()[0]
    p, n = bins["predicted"][0], bins["images"][0]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(p * (1 - p) / n))


def test_the_confusion_matrix_has_its_counts(axes, faces):
    plots.draw_confusion(axes, *faces)
    counts = metrics.confusion(*faces)
    drawn = {
        text.get_position(): int(text.get_text().split("\n")[1])
        for text in axes.texts
    }
    assert drawn == {
        (column, row): counts[true][called]
        for row, true in enumerate(LABELS)
        for column, called in enumerate(LABELS)
    }


def test_the_histograms_hold_each_class_and_thresholds_are_marked(axes, faces):
    plots.draw_scores(axes, *faces, (0.3, 0.6))
    for patch in axes.patches[:4]:
        assert patch.get_data().values.sum() == pytest.approx(1)
    assert [line.get_xdata()[0] for line in axes.lines] == [0.3, 0.6]


def test_a_corruption_is_drawn_from_clean_to_severe(axes):
    cells = [
        {"level": level, "accuracy": accuracy, "roc_auc": None}
        for level, accuracy in ((80, 0.9), (20, 0.6))
    ]
    record = {
        "clean": {"accuracy": 0.95, "roc_auc": None},
        "corruptions": {"jpeg": {"unit": "quality", "cells": cells}},
    }
    robustness_plots.draw_corruption(axes, "jpeg", record)
    _, curve, _ = axes.lines
    assert curve.get_ydata().tolist() == [0.95, 0.9, 0.6]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["clean", "80", "20"]
