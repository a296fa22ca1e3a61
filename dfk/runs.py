"""A run is a folder: what is in it, and under which names."""

import contextlib
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dfk
from dfk.errors import UserError
from dfk.files import (
    exclusive_lock,
    expanded,
    read_json,
    replacing,
    write_json,
)

if TYPE_CHECKING:
    import keras

# The detector that comes with dfk.
BUILT_IN = "default"


class Run:
    """The folder of one training run.

    It holds `config.json` (written before the first step), `checkpoints/`,
    `logs/` (TensorBoard), `model.keras` and `results.json`.

    Args:
        path: the folder; it need not exist yet.

    Example:
        >>> Run("runs/facenet").config["model"]
        'facenet'
    """

    def __init__(self, path: str | Path):
        self.path = expanded(path)
        self.config_path = self.path / "config.json"
        self.checkpoints = self.path / "checkpoints"
        self.logs = self.path / "logs"
        self.model_path = self.path / "model.keras"
        self.results_path = self.path / "results.json"

    @classmethod
    def finished(cls, path: str | Path) -> "Run":
        """Opens the folder of a run that ended with a trained detector.

        Raises:
            UserError: there is none at that path, a file of it is damaged,
                or an earlier version of dfk made it.
        """
        refuse_repeats(path)
        run = cls(path)
        if not run.config_path.is_file():
            raise UserError(
                f"No run at {run.path}: pass the folder that `python -m "
                "dfk.train` named when it ended."
            )
        require_format(run.path, run.config)
        if not run.model_path.is_file():
            raise UserError(
                f"The run at {run.path} has not finished: repeat its `python "
                "-m dfk.train` command to continue it."
            )
        if not zipfile.is_zipfile(run.model_path):
            raise UserError(
                f"{run.model_path} is empty or cut off: delete it, and repeat "
                "the command that made the run."
            )
        return run

    @property
    def results(self) -> dict[str, Any]:
        """What was measured so far; empty before the training ended.

        Raises:
            UserError: the file is damaged.
        """
        if not self.results_path.is_file():
            return {}
        return read_json(
            self.results_path,
            [],
            "delete it, and measure again with `python -m dfk.evaluate "
            f"{self.path}`",
        )

    @property
    def config(self) -> dict[str, Any]:
        """What the run was started with.

        Raises:
            UserError: the file is damaged.
        """
        return read_json(
            self.config_path,
            ["model"],
            f"put a copy of it back, or delete {self.path} and train again",
        )

    def write_config(self, config: dict[str, Any]) -> None:
        """Writes `config.json`, with the number of its format."""
        write_json(self.config_path, {"format": dfk.FORMAT, **config})

    def finish(self, detector: "keras.Model", results: dict[str, Any]) -> None:
        """Writes what a run ends with.

        Args:
            detector: the trained detector. Its file is what makes the run a
                finished one, so it is written last, and whole.
            results: what `results.json` is to hold.
        """
        write_json(self.results_path, results)
        with replacing(self.model_path) as partial:
            detector.save(partial)

    def write(
        self,
        detector: "keras.Model",
        results: dict[str, Any],
        config: dict[str, Any],
    ) -> None:
        """Writes a run that was not trained step by step.

        Args:
            detector: the detector.
            results: what `results.json` is to hold.
            config: what `config.json` is to hold. It makes the folder a run, so
                it comes last: nothing could go on with half of one.
        """
        self.finish(detector, results)
        self.write_config(config)

    @contextlib.contextmanager
    def updating_results(self) -> Iterator[dict[str, Any]]:
        """Gives what `results.json` holds; it is written after the block.

        Of several processes that measure one run, one at a time does.
        """
        with exclusive_lock(self.path):
            results = self.results
            yield results
            write_json(self.results_path, results)


def built_in_run() -> Run:
    """Where the built-in detector is a run, once a command wrote it.

    `dfk.evaluate` and `dfk.export` do.

    Example:
        >>> built_in_run().path
        PosixPath('runs/default-...')
    """
    return Run(Path("runs", f"{BUILT_IN}-{dfk.__detector_version__}"))


def new_run(workdir: str | Path | None, name: str) -> Run:
    """A run's folder that is still to be written.

    Args:
        workdir: the folder; by default `runs/<name>-<time>`.
        name: what the default is called after.

    Raises:
        UserError: it holds a run, or repeats, already.
    """
    refuse_repeats(workdir or "")
    run = Run(workdir or time.strftime(f"runs/{name}-%Y%m%d-%H%M%S"))
    if run.config_path.is_file():
        raise UserError(
            f"{run.path} holds a run already: choose another --workdir."
        )
    return run


def require_format(path: Path, description: dict[str, Any]) -> None:
    """Refuses what a version of dfk with other layers and files made.

    Args:
        path: of the run or the detector, for the message.
        description: holds its `format`, as a run's `config.json` does; format
            1 has no such entry.

    Raises:
        UserError: it was made by another version.
    """
    made = description.get("format", 1)
    if made != dfk.FORMAT:
        version = "dfk 0.1" if made == 1 else "another version of dfk"
        raise UserError(
            f"{path} was made by {version}, format {made}, and this is dfk "
            f"{dfk.__version__}, format {dfk.FORMAT}: train or export "
            "again."
        )


def seeds(path: str | Path) -> list[Path]:
    """The runs in a folder of repeats, one a seed; none in another folder.

    Such a folder holds `repeats.json`, written before its first run starts,
    and for each of the seeds named there a run of its own, `seed-<seed>`.

    Raises:
        UserError: `repeats.json` is damaged.
    """
    record = expanded(path) / "repeats.json"
    if not record.is_file():
        return []
    return [
        record.parent / f"seed-{number}"
        for number in read_repeats(record.parent)["seeds"]
    ]


def read_repeats(folder: Path) -> dict[str, Any]:
    """Reads a folder's `repeats.json`: its `seeds`, `config` and results.

    Raises:
        UserError: it is damaged.
    """
    return read_json(
        folder / "repeats.json",
        ["seeds", "config"],
        "delete it, and repeat the `python -m dfk.train` command with its "
        "--repeats",
    )


def refuse_repeats(path: str | Path) -> None:
    """Refuses a folder of repeats where one run is wanted.

    Raises:
        UserError: the folder holds repeats; the message names one of them.
    """
    runs = seeds(path)
    if runs:
        raise UserError(
            f"{path} holds {len(runs)} runs: pass one of them, such as "
            f"{runs[0]}."
        )


def finished(paths: Iterable[str | Path]) -> list[Run]:
    """Opens finished runs; a folder of repeats stands for all its seeds.

    Args:
        paths: folders of runs or of repeats, or `default` for
            `built_in_run`. One named twice counts once.

    Returns:
        The runs, in the order in which they were named.

    Raises:
        UserError: one is no run, or has not finished.

    Example:
        >>> [run.path for run in finished(["runs/cnn"])]
        [PosixPath('runs/cnn/seed-0'), PosixPath('runs/cnn/seed-1')]
    """
    single = [run for path in paths for run in _single(path)]
    return [Run.finished(path) for path in dict.fromkeys(single)]


def _single(path: str | Path) -> list[Path]:
    if str(path) == BUILT_IN:
        run = built_in_run()
        if not run.model_path.is_file():
            raise UserError(
                "The built-in detector was not evaluated here (there is no "
                f"{run.path}): run `python -m dfk.evaluate {BUILT_IN} "
                "--data_dir=FACES` first, on your pictures."
            )
        return [run.path]
    repeats = seeds(path)
    for run in map(Run, repeats):
        if not run.model_path.is_file():
            raise UserError(
                f"The repeats at {path} have not finished, as {run.path.name} "
                "shows: repeat their `python -m dfk.train` command to continue "
                "them."
            )
    return repeats or [Run(path).path]


def flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings within settings, all in one dictionary.

    Example:
        >>> flat({"epochs": 6, "augmentation": {"shift": 0.05}})
        {'epochs': 6, 'augmentation shift': 0.05}
    """
    values: dict[str, Any] = {}
    for name, value in settings.items():
        nested = flat(value) if isinstance(value, dict) else {"": value}
        values |= {f"{name} {k}".strip(): v for k, v in nested.items()}
    return values
