import shutil

import numpy as np
import pytest
from rich.console import Console

from dfk.evaluation import summary
from dfk.evaluation.cross import cross_table
from dfk.evaluation.metrics import best_balanced_accuracy
from dfk.runs import Run


@pytest.fixture(scope="module")
def folders(faces, swap_labels):
    """Faces, the same with labels swapped, and only reals without splits."""
    swapped = swap_labels(faces, "swapped")
    reals = faces.parent / "reals"
    shutil.copytree(faces / "test" / "real", reals / "real")
    return [str(faces), str(swapped), str(reals)]


@pytest.fixture(scope="module")
def tested(make_run, folders):
    """A run, and its row of the cross table."""
    run = make_run(folders[0])
    (row,) = cross_table([run], folders)
    return run, row


def test_every_run_is_tested_on_every_data_set(tested, folders):
    run, row = tested
    own, swapped, reals = row.cells
    assert (row.model, row.trained_on) == ("tiny", folders[0])
    assert (own.roc_auc, own.accuracy, own.transfers) == (1.0, 1.0, True)
    # No threshold helps where the scores are inverted.
    assert (swapped.roc_auc, swapped.accuracy) == (0.0, 0.0)
    assert (reals.roc_auc, reals.recall, reals.transfers) == (None, None, None)
    assert (reals.images, reals.false_alarms) == (8, 0.0)
    results = Run(run).results
    assert len(results["evaluation"]) == 3
    assert results["cross"]["cells"][2]["false_alarms"] == 0.0


def test_the_table_is_printed(tested, capsys):
    _, row = tested
    weak = row.cells[0]._replace(accuracy=0.6, transfers=False)
    rows = [row._replace(cells=[weak, *row.cells[1:]])]
    summary.show_cross(Console(width=120), rows)
    printed = capsys.readouterr().out
    assert "AUC 1.000" in printed
    assert "accuracy 60.0% !" in printed
    assert "alarms 0.0%" in printed
    assert "the shipped one does not transfer" in " ".join(printed.split())


def test_the_best_threshold_is_found():
    labels = np.array([0, 0, 1, 1])
    assert best_balanced_accuracy(labels, np.array([0.7, 0.8, 0.9, 1])) == 1
    assert best_balanced_accuracy(labels, np.array([0.1, 0.8, 0.7, 1])) == 0.75
    assert best_balanced_accuracy(labels[:2], np.array([0.1, 0.2])) is None
