import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from dfk.evaluation.cross import cross_table
from dfk.evaluation.metrics import best_balanced_accuracy
from dfk.runs import Run


@pytest.fixture(scope="module")
def folders(face_folder, swap_labels):
    """Faces, the same with labels swapped, and reals alone without splits."""
    faces = face_folder("faces")
    swapped = swap_labels(faces, "swapped")
    reals = faces.parent / "reals"
    shutil.copytree(faces / "test" / "real", reals / "real")
    return [str(faces), str(swapped), str(reals)]


def test_every_run_is_tested_on_every_data_set(make_run, folders):
    run = make_run(folders[0])
    (row,) = cross_table([run], folders)
    own, swapped, reals = row.cells
    assert (row.model, row.trained_on) == ("tiny", folders[0])
    assert (own.roc_auc, own.accuracy, own.transfers) == (1.0, 1.0, True)
    # No threshold helps where the scores point the wrong way.
    assert (swapped.roc_auc, swapped.accuracy) == (0.0, 0.0)
    assert (reals.roc_auc, reals.recall, reals.transfers) == (None, None, None)
    assert (reals.images, reals.false_alarms) == (8, 0.0)
    results = Run(run).results
    assert len(results["evaluation"]) == 3
    assert results["cross"]["cells"][2]["false_alarms"] == 0.0


def test_the_best_threshold_is_found():
    labels = np.array([0, 0, 1, 1])
    assert best_balanced_accuracy(labels, np.array([0.7, 0.8, 0.9, 1])) == 1
    assert best_balanced_accuracy(labels, np.array([0.1, 0.8, 0.7, 1])) == 0.75
    assert best_balanced_accuracy(labels[:2], np.array([0.1, 0.2])) is None


def test_the_command_prints_the_table(make_run, folders):
    run = make_run(folders[0])
    names = f"--dataset={','.join(folders)}"
    done = subprocess.run(
        [sys.executable, "-m", "dfk.evaluate", str(run), names],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "AUC 1.000" in done.stdout
    assert "alarms 0.0%" in done.stdout
    record = json.loads((run / "results.json").read_text())
    assert len(record["cross"]["cells"]) == 3
