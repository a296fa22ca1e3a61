"""Where a run keeps what was measured of it: one record per data and split.

A record lies in `results.json`, as `evaluation.<key>`; the scores of all its
images lie beside it, in `scores-<key>.csv`.
"""

import csv
import itertools
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfk.data import names
from dfk.data.folders import LABELS
from dfk.errors import UserError
from dfk.evaluation.metrics import THRESHOLD
from dfk.files import file_name, replacing
from dfk.runs import Run

# Of the columns of scores, in the order of `Scores`.
_TITLES = (
    "id",
    "group",
    "label",
    "fake_probability",
    "ood_score",
    "verdict",
    "reason",
    "family",
)


class Source(NamedTuple):
    """Which images are scored.

    Args:
        dataset: a TFDS name, or None.
        data_dir: the absolute path of a folder, or of several with commas; or
            None.
        split: `train`, `validation` or `test`.
    """

    dataset: str | None
    data_dir: str | None
    split: str | None

    @classmethod
    def named(
        cls, dataset: str | None, data_dir: str | None, split: str | None
    ) -> "Source":
        """The source that flags name; `dataset` may be a folder as well."""
        dataset, data_dir = names.name_or_folder(dataset, data_dir)
        return cls(dataset, names.absolute(data_dir), split)

    @property
    def place(self) -> str:
        """The TFDS name, or the folder."""
        return self.dataset or self.data_dir

    @property
    def name(self) -> str:
        """The TFDS name, or the folder's name without its path."""
        return self.dataset or names.short(self.data_dir)

    @property
    def flags(self) -> list[str]:
        """The flags of `dfk.evaluate` and `dfk.compare` that name it."""
        return [f"--{k}={v}" for k, v in self._asdict().items() if v]


class Scores(NamedTuple):
    """What a detector said about each image of a split.

    Args:
        ids: str `[N]`, the images' names.
        groups: str `[N]`, images of one group are not independent.
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float32 `[N]` in 0..1, the probabilities of fake.
        ood_score: float32 `[N]`; above 1 is unlike the training images.
        verdicts: str `[N]`: `real`, `fake` or `uncertain`.
        reasons: str `[N]`, why a verdict is `uncertain`, or empty.
        families: str `[N]`, the family that a fake resembles, or empty.
    """

    ids: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    ood_score: np.ndarray
    verdicts: np.ndarray
    reasons: np.ndarray
    families: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Which images get the right label at `THRESHOLD`, bool `[N]`."""
        return (self.probabilities > THRESHOLD) == self.labels


def source_of(
    run: Run, dataset: str | None, data_dir: str | None, split: str
) -> Source:
    """Says which images are meant.

    Args:
        run: whose own data they are if neither of the next two is given.
        dataset: a TFDS name, or a folder.
        data_dir: a folder.
        split: the split.
    """
    if dataset is None and data_dir is None:
        config = run.config
        return Source(config.get("dataset"), config.get("data_dir"), split)
    return Source.named(dataset, data_dir, split)


def recorded(run: Run, source: Source) -> tuple[str, dict[str, Any]]:
    """Finds what `evaluate` recorded.

    Args:
        run: a finished run.
        source: which images.

    Returns:
        The evaluation's key and its record.

    Raises:
        UserError: these images have not been evaluated.
    """
    earlier = run.results.get("evaluation", {})
    key = key_of(source, earlier)
    if key not in earlier:
        raise UserError(
            f"The {source.split} split of {source.place} has not been "
            f"evaluated: run `{command([run], source)}` first."
        )
    return key, earlier[key]


def key_of(source: Source, earlier: dict[str, Any]) -> str:
    """The name under which an evaluation is kept.

    Args:
        source: which images.
        earlier: the run's evaluations by their keys.

    Returns:
        Such as `faces-test`, or `faces-2-test` after another folder called
        faces.
    """
    name = source.dataset or "-".join(
        Path(folder).name for folder in names.split(source.data_dir)
    )
    plain = file_name(name)
    for number in itertools.count(1):
        name = plain if number == 1 else f"{plain}-{number}"
        key = f"{name}-{source.split}"
        if key not in earlier or earlier[key]["data_dir"] == source.data_dir:
            return key


def command(runs: Sequence[Run], source: Source) -> str:
    """The command that makes or repeats evaluations.

    It names no data that the runs were trained on, since several data sets
    would make a cross table, and no absolute paths. It is for the folder that
    dfk was started in.

    Args:
        runs: the runs.
        source: which images.
    """
    split = source.split or "test"
    owns = [source_of(run, None, None, split) for run in runs]
    named = Source(None, None, source.split)
    if any(own[:2] != source[:2] for own in owns):
        folders = names.split(source.data_dir) if source.data_dir else ()
        named = source._replace(data_dir=",".join(map(relative, folders)))
    paths = [relative(run.path) for run in runs]
    return shlex.join(["python", "-m", "dfk.evaluate", *paths, *named.flags])


def relative(path: str | Path) -> str:
    """A path for a command: from where dfk was started, if it is absolute."""
    return os.path.relpath(path) if Path(path).is_absolute() else str(path)


def write_table(path: Path, titles: Sequence[str], rows: Iterable) -> None:
    """Writes a CSV file, whole or not at all."""
    with (
        replacing(path) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows([titles, *rows])


def write_scores(run: Run, key: str, scores: Scores) -> Path:
    """Writes the scores of an evaluation; the path of the file.

    Args:
        run: a finished run.
        key: the evaluation's.
        scores: of every image.
    """
    path = run.path / f"scores-{key}.csv"
    columns = scores._replace(labels=np.array(LABELS)[scores.labels])
    write_table(path, _TITLES, zip(*columns, strict=True))
    return path


def read_scores(run: Run, key: str) -> Scores:
    """Reads the scores of an evaluation, in the order of the split.

    Args:
        run: a finished run.
        key: the evaluation's.

    Raises:
        UserError: the file is not there, or damaged.
    """
    path = run.path / f"scores-{key}.csv"
    record = run.results["evaluation"][key]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        read = Scores(*map(np.array, zip(*rows, strict=True)))
        if len(rows) != record["images"]:
            raise ValueError("some rows are missing")
        return read._replace(
            labels=(read.labels == LABELS[1]).astype(int),
            probabilities=read.probabilities.astype(np.float32),
            ood_score=read.ood_score.astype(np.float32),
        )
    except (FileNotFoundError, ValueError, TypeError, csv.Error) as error:
        what = "damaged" if path.is_file() else "missing"
        raise UserError(
            f"{path} is {what}: evaluate again with `{record['command']}`."
        ) from error
