"""Servers under load and under faults; more of both by the same script."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_load_is_measured(place):
    done = subprocess.run(
        [
            *(sys.executable, BENCHMARKS / "serving.py", "--seconds=.1"),
            *("--images=2", "--concurrency=2"),
            f"--export={place / 'saved_models/tiny'}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (difference,) = re.findall(
        r"difference of a probability (\S+)", done.stdout
    )
    assert float(difference) < 1e-5
    assert "stand-in: ratio " in done.stdout


@pytest.mark.slow
def test_nothing_is_lost_whatever_happens_around_a_server(
    monkeypatch, tmp_path
):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from soak import Soak

    report = Soak(tmp_path).run(seconds=1)
    assert report.is_good, report
    assert report.requests > 100
    assert report.faults == 7
