"""The same training with several seeds, to see how much results vary."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dfk import cli, runs
from dfk.errors import UserError
from dfk.files import write_json
from dfk.runs import Run
from dfk.training import strategies
from dfk.training import train as single
from dfk.training.config import Config
from dfk.training.resume import (
    difference,
    find_folder,
    locked,
    require_same,
)


def train(config: Config, repeats: int = 1, workdir: str | None = None) -> Path:
    """Trains a detector once, or several times with a seed each.

    Every seed's run is an ordinary one in the subfolder `seed-<seed>`, and
    equal to a single run with that seed. `repeats.json` is written before the
    first of them starts; at the end it holds each run's validation metrics,
    and their means and ranges. The same call goes on where an earlier one
    stopped. A folder's seeds only ever grow: a call for more adds those that
    are missing.

    Args:
        config: what to train; its `seed` is the first one.
        repeats: how many seeds, one after the other. One is a single run.
        workdir: the folder; by default a new one under `runs/`, or the one
            that an equal call left unfinished there.

    Returns:
        The folder of the run, or of the repeats.

    Raises:
        UserError: as `dfk.training.train.train`, and for a folder that holds
            something else.

    Reference:
        Bouthillier et al., "Accounting for Variance in Machine Learning
        Benchmarks", MLSys 2021.

    Example:
        >>> train(Config("cnn", data_dir="faces"), repeats=3)
        PosixPath('runs/cnn-20260102-030405')
    """
    if repeats == 1:
        _refuse_repeats(workdir)
        return single.train(config, workdir).path
    config = config.resolved()
    is_chief = strategies.is_chief(strategies.choose(config.strategy))
    seeds = list(range(config.seed, config.seed + repeats))
    settings = config.settings()
    # It is what the runs differ in.
    del settings["seed"]
    folder = find_folder(settings, workdir, _unfinished(settings, seeds))
    if not is_chief:
        _train_each(config, _record(folder, settings, seeds)["seeds"], folder)
        return folder
    with locked(folder):
        record = _record(folder, settings, seeds)
        write_json(folder / "repeats.json", record)
        try:
            _train_each(config, record["seeds"], folder)
        finally:
            _forget_if_unstarted(folder)
        record |= _summary(runs.seeds(folder))
        write_json(folder / "repeats.json", record)
        _print(config.model, folder, record)
    return folder


def _train_each(config: Config, seeds: list[int], folder: Path) -> None:
    for number, seed in enumerate(seeds, 1):
        print(f"Seed {seed}, {number} of {len(seeds)}:", flush=True)
        # Frees the last run's memory, and its layers' names.
        keras.utils.clear_session()
        path = folder / f"seed-{seed}"
        single.train(dataclasses.replace(config, seed=seed), str(path))


def _forget_if_unstarted(folder: Path) -> None:
    """After a mistake in the flags, the folder is free for other ones."""
    if not list(folder.glob("seed-*/config.json")):
        (folder / "repeats.json").unlink()


def _summary(paths: Sequence[Path]) -> dict[str, dict[str, dict[str, float]]]:
    """The validation metrics of finished runs.

    `runs`: by folder's name the `roc_auc` and `accuracy` of the detector;
    `validation`: by metric its `mean`, `min` and `max`.
    """
    each, spread = {}, {}
    for path in paths:
        results = Run(path).results
        if "training" not in results:
            raise UserError(
                f"{path} has lost what its training measured: delete that "
                "folder, and repeat the command."
            )
        kept = results["training"]["validation"]
        each[path.name] = {
            "roc_auc": kept["val_auc"],
            "accuracy": kept["val_accuracy"],
        }
    for name in ("roc_auc", "accuracy"):
        values = [metrics[name] for metrics in each.values()]
        spread[name] = {
            "mean": float(np.mean(values)),
            "min": min(values),
            "max": max(values),
        }
    return {"runs": each, "validation": spread}


def _refuse_repeats(workdir: str | None) -> None:
    """A single run must not end up among the seeds' folders."""
    held = runs.seeds(workdir) if workdir else []
    if held:
        raise UserError(
            f"{workdir} holds {len(held)} repeats: pass --repeats={len(held)} "
            "to go on with them, or choose another --workdir."
        )


def _unfinished(settings: dict[str, Any], seeds: list[int]) -> Iterator[Path]:
    for path in sorted(Path("runs").glob("*/repeats.json"), reverse=True):
        # What is damaged cannot be resumed, and is not what was asked for.
        with contextlib.suppress(UserError, OSError):
            record = runs.read_repeats(path.parent)
            if (
                record["seeds"] == seeds
                and "validation" not in record
                and not difference(record["config"], settings)
            ):
                yield path.parent


def _record(
    folder: Path, settings: dict[str, Any], seeds: list[int]
) -> dict[str, Any]:
    """What `repeats.json` says before the runs have finished."""
    if Run(folder).config_path.is_file():
        raise UserError(
            f"{folder} holds a single run: choose another --workdir for "
            "--repeats."
        )
    if not (folder / "repeats.json").is_file():
        return {"config": settings, "seeds": seeds}
    earlier = runs.read_repeats(folder)
    require_same(folder, "repeats", earlier["config"], settings)
    all_seeds = sorted({*earlier["seeds"], *seeds})
    return {"config": earlier["config"], "seeds": all_seeds}


def _print(model: str, folder: Path, record: dict[str, Any]) -> None:
    rows = [
        (name, f"{metrics['roc_auc']:.4f}", f"{metrics['accuracy']:.2%}")
        for name, metrics in record["runs"].items()
    ]
    auc, accuracy = record["validation"].values()
    mean = (
        "mean (min to max)",
        "{mean:.4f} ({min:.4f} to {max:.4f})".format(**auc),
        "{mean:.2%} ({min:.2%} to {max:.2%})".format(**accuracy),
    )
    cli.print_table(
        f"{model}, {len(record['runs'])} seeds, on validation",
        ("run", "ROC AUC", "accuracy"),
        [*rows, (), mean],
    )
    print(f"Runs: {folder}")
    print(f"Next: python -m dfk.evaluate {folder}")
