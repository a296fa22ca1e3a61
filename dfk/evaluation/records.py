"""Where a run keeps what was measured of it: one record per data and split."""

import itertools
import re
import shlex
from pathlib import Path
from typing import Any

from dfk.data import names
from dfk.errors import UserError
from dfk.runs import Run


def source_of(
    run: Run, dataset: str | None, data_dir: str | None
) -> tuple[str | None, str | None]:
    """Which data are meant, by name or by folder.

    Args:
        run: whose own data they are if neither is given.
        dataset: a TFDS name, or a folder.
        data_dir: a folder.

    Returns:
        The TFDS name and the folder, of which one is None.
    """
    if dataset is None and data_dir is None:
        return run.config["dataset"], run.config["data_dir"]
    return names.name_or_folder(dataset, data_dir)


def recorded(
    run: Run, dataset: str | None, data_dir: str | None, split: str
) -> tuple[str, dict[str, Any]]:
    """Finds what `evaluate` recorded of a split.

    Args:
        run: a finished run.
        dataset: a TFDS name, or None for a folder.
        data_dir: the folder, if it is one.
        split: the split.

    Returns:
        The evaluation's key and its record.

    Raises:
        UserError: the split has not been evaluated.
    """
    earlier = run.results.get("evaluation", {})
    key = key_of(dataset, data_dir, split, earlier)
    if key not in earlier:
        again = command(run.path, dataset, data_dir, split)
        raise UserError(
            f"The {split} split of {dataset or data_dir} has not been "
            f"evaluated: run `{again}` first."
        )
    return key, earlier[key]


def key_of(
    dataset: str | None,
    data_dir: str | None,
    split: str,
    earlier: dict[str, Any],
) -> str:
    """The name under which a split's evaluation is kept.

    Args:
        dataset: a TFDS name, or None for a folder.
        data_dir: the folder, if it is one.
        split: the split.
        earlier: the run's evaluations by their keys.

    Returns:
        Such as `faces-test`, or `faces-2-test` after another folder called
        faces.
    """
    folders = names.absolute(data_dir)
    name = dataset or "-".join(
        Path(folder).name for folder in names.split(folders)
    )
    plain = re.sub(r"[^\w.-]+", "-", name)
    for number in itertools.count(1):
        name = plain if number == 1 else f"{plain}-{number}"
        key = f"{name}-{split}"
        if key not in earlier or earlier[key]["data_dir"] == folders:
            return key


def command(
    run_path: str | Path,
    dataset: str | None,
    data_dir: str | None,
    split: str,
) -> str:
    """The command that repeats an evaluation, also one by a program.

    Args:
        run_path: the run's folder.
        dataset: a TFDS name, or None.
        data_dir: a folder, or None.
        split: the split.
    """
    flags = {"dataset": dataset, "data_dir": data_dir, "split": split}
    return shlex.join(
        ["python", "-m", "dfk.evaluate", str(run_path)]
        + [f"--{name}={value}" for name, value in flags.items() if value]
    )
