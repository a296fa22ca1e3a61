import functools
import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from dfk.errors import UserError
from dfk.evaluation import learning_curve
from dfk.evaluation.rows import Row, ScoredRun


def row(images, accuracies, detector="cnn", limit=None, **config):
    runs = [
        ScoredRun(
            path=None,
            config={"model": detector, "limit": limit, "seed": seed} | config,
            training={"images": images} if images else {},
            metrics={
                name: {"value": value} for name in ("accuracy", "roc_auc")
            },
            scores=None,
        )
        for seed, value in enumerate(accuracies)
    ]
    return Row(detector, "as the comparison says it", runs)


few = functools.partial(row, 350, limit=350)
many = functools.partial(row, 1400)


def test_a_curve_has_the_rows_of_one_detector_in_order():
    rows = [many([0.8]), few([0.6]), few([0.7], "x"), many([0.9], "x")]
    curves = learning_curve.curves(rows)
    assert list(curves) == ["cnn", "x"]
    assert [learning_curve.images(r) for r in curves["cnn"]] == [350, 1400]


def test_other_settings_make_another_curve():
    rows = [
        few([0.6]),
        many([0.7]),
        few([0.6], precision="mixed_bfloat16"),
        many([0.8], precision="mixed_bfloat16"),
    ]
    assert list(learning_curve.curves(rows)) == [
        "cnn",
        "cnn (precision mixed_bfloat16)",
    ]


def test_more_images_for_fewer_epochs_are_of_one_curve():
    rows = [row(1400, [0.7], epochs=20), row(5600, [0.8], epochs=10)]
    assert list(learning_curve.curves(rows)) == ["cnn"]


def test_other_epochs_on_as_many_images_make_another_curve():
    rows = [
        few([0.6], epochs=20),
        many([0.7], epochs=20),
        few([0.5], epochs=5),
        many([0.6], epochs=5),
    ]
    assert list(learning_curve.curves(rows)) == [
        "cnn (epochs 20)",
        "cnn (epochs 5)",
    ]


def test_what_is_alone_or_was_not_trained_is_left_out():
    rows = [few([0.6]), many([0.7]), many([0.9], "x"), row(None, [0.9], "y")]
    assert list(learning_curve.curves(rows)) == ["cnn"]


@pytest.mark.parametrize(
    ("rows", "received"),
    [
        ([many([0.7]), many([0.9], "x")], "with 1,400, .* with 1,400"),
        ([row(None, [0.9])], "no detector that was trained"),
    ],
)
def test_one_number_of_images_makes_no_curve(rows, received):
    with pytest.raises(UserError, match=f"several numbers.*{received}"):
        learning_curve.curves(rows)


def test_the_plot_shows_means_and_ranges():
    axes = Figure().add_subplot()
    lines = learning_curve.curves([few([0.6]), many([0.7, 0.9, 0.71])])
    learning_curve.draw_curves(axes, lines, "accuracy")
    (curve,) = axes.containers
    line, _, (bars,) = curve.lines
    np.testing.assert_allclose(line.get_xydata(), [(350, 0.6), (1400, 0.77)])
    np.testing.assert_allclose(
        bars.get_segments(),
        [[(350, 0.6), (350, 0.6)], [(1400, 0.7), (1400, 0.9)]],
    )
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["350", "1,400"]


def test_the_command_draws_a_learning_curve(write_run, tmp_path):
    scores = np.linspace(0, 1, 120)
    runs = [write_run("a", scores), write_run("b", scores, limit=350)]
    results = json.loads((runs[1] / "results.json").read_text())
    results["training"]["images"] = 350
    (runs[1] / "results.json").write_text(json.dumps(results))
    command = [sys.executable, "-m", "dfk.compare", *map(str, runs)]
    curve = tmp_path / "curve.png"
    answer = subprocess.run(
        [*command, f"--learning_curve={curve}"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert f"Learning curve: {curve}" in answer.stdout
    assert curve.is_file()
