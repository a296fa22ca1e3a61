"""The package as a user installs it, outside of this folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from tiny import detector, make_images, run

__all__ = ["detector", "run"]
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
OPTIONS = ("--crop=none", "--json")
# What a user's Python must not inherit: the source tree must stay unseen.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Builds the wheel from a copy, so that nothing is left in the tree."""
    source = tmp_path_factory.mktemp("source")
    for name in ("dfk", "datasets"):
        ignored = shutil.ignore_patterns("__pycache__", "datasets")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", *build, "-w", out, source],
        check=True,
        capture_output=True,
    )
    return next(out.glob("dfk-*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A new environment with the wheel; its dependencies are borrowed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    subprocess.run(
        [interpreter, "-m", "pip", "install", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
        env=ENVIRONMENT,
    )
    # A path alone: an editable dfk would need the .pth files inside it.
    (packages,) = folder.glob("lib/python*/site-packages")
    borrowed = sysconfig.get_path("purelib")
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")
    return interpreter


def test_the_wheel_holds_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    files = {
        f"{place}/{path.relative_to(ROOT / name).as_posix()}"
        for name, place in (("dfk", "dfk"), ("datasets", "dfk/datasets"))
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if "datasets" not in path.relative_to(ROOT / name).parts
    }
    tests = {name for name in files if name.endswith("_test.py")}
    assert files - tests <= held


def test_it_answers_from_an_empty_folder(python, run, tmp_path):
    (tmp_path / "face.png").write_bytes(make_images(1)[0])
    for arguments in (
        ["-c", "import dfk, dfk.datasets; print(dfk.__file__)"],
        ["-m", "dfk.predict", "face.png", f"--model={run}", *OPTIONS],
    ):
        result = subprocess.run(
            [python, *arguments],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=ENVIRONMENT,
        )
        if "-c" in arguments:
            assert str(python.parents[1]) in result.stdout
    assert 0 <= json.loads(result.stdout)["fake_probability"] <= 1
