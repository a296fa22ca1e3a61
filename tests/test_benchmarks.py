"""Every benchmark runs; how fast, it says itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dfk.data import folders

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "input_pipeline.py --data_dir={faces} --image_size=40 --epochs=1 "
        "--rounds=1",
        "phase_one.py --data_dir={faces} --image_size=40 --epochs=1 "
        "--model=cnn --weights=none",
        "phase_two.py --image_size=40 --batch_size=4 --steps=1 --rounds=1 "
        "--model=cnn",
    ],
)
def test_a_benchmark_runs_to_its_end(command, faces_dir, tmp_path):
    script, *arguments = command.format(faces=faces_dir).split()
    answer = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr
    assert "ratio" in answer.stdout


def test_what_is_held_out_was_training_and_groups_stay_together(
    faces_dir, tmp_path
):
    faces, dev = tmp_path / "faces", tmp_path / "dev"
    shutil.copytree(faces_dir, faces)
    training = sorted((faces / "train").rglob("*.png"))
    lines = [
        f"{path.relative_to(faces).as_posix()},{number // 4}\n"
        for number, path in enumerate(training)
    ]
    (faces / "groups.csv").write_text("path,group\n" + "".join(lines))
    command = [sys.executable, BENCHMARKS / "hold_out.py"]
    command += [f"--data_dir={faces}", f"--out={dev}"]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    kept, held_out = (
        {path.resolve() for path in (dev / split).rglob("*.png")}
        for split in ("train", "test")
    )
    assert kept | held_out == set(training)
    assert len(held_out) == 12
    group_of = {path: str(number // 4) for number, path in enumerate(training)}
    assert not {group_of[p] for p in kept} & {group_of[p] for p in held_out}
    for image in folders.ImageFolder(dev).splits()["test"]:
        assert image.group == group_of[image.path.resolve()]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1
    assert "exists already" in again.stderr
