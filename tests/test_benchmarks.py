"""Every benchmark runs to its end; how fast is not for a test to say."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    "command",
    [
        "input_road.py --data_dir={faces} --image_size=40 --epochs=1 --turns=1",
        "phase_one.py --data_dir={faces} --image_size=40 --epochs=1 "
        "--model=cnn --weights=none",
        "phase_two.py --image_size=40 --batch_size=4 --steps=1 --turns=1 "
        "--model=cnn",
    ],
)
def test_a_benchmark_prints_its_ratio(command, faces_dir, tmp_path):
    script, *arguments = command.format(faces=faces_dir).split()
    answer = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr
    assert "ratio" in answer.stdout
