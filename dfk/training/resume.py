"""Which folder a training goes on in: a run that was stopped, or a new one."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfk.errors import UserError
from dfk.lock import alone, is_taken
from dfk.runs import Run, flat, spelled_out


def find_run(config: dict[str, Any], workdir: str | None = None) -> Run:
    """Finds the run to go on with, or names a new one.

    Args:
        config: the record of a resolved `dfk.training.config.Config`.
        workdir: the run's folder; by default the one under `runs/` that an
            equal configuration left unfinished, and no process is at work
            on, or a new one there.

    Returns:
        The run, whose folder need not exist yet.

    Raises:
        UserError: the folder holds another run, or several workers were not
            told which folder to share.

    Example:
        >>> find_run(config.record(), "runs/mine").path
        PosixPath('runs/mine')
    """
    if workdir is None and config["strategy"] == "multi_worker":
        raise UserError(
            "--strategy=multi_worker needs --workdir: all workers must name "
            "the same folder."
        )
    if workdir is None:
        return _unfinished(config) or Run(
            f"runs/{config['model']}-{time.strftime('%Y%m%d-%H%M%S')}"
        )
    run = Run(workdir)
    if run.config_path.is_file():
        _require_same(run, config)
    return run


@contextlib.contextmanager
def taken(run: Run) -> Iterator[None]:
    """Keeps a run to this process; its folder is made if need be.

    Raises:
        UserError: another process is training it.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone(run.path, wait=False))
        except BlockingIOError as error:
            raise UserError(
                f"Another process is training {run.path}: wait for it, or "
                "choose another --workdir."
            ) from error
        try:
            yield
        finally:
            # Where nothing came of it, not even weights to start from.
            with contextlib.suppress(OSError):
                run.path.rmdir()


def _unfinished(config: dict[str, Any]) -> Run | None:
    for path in sorted(Path("runs").glob("*/config.json"), reverse=True):
        run = Run(path.parent)
        if run.model_path.is_file() or is_taken(run.path):
            continue
        if spelled_out(run.config) == spelled_out(config):
            return run
    return None


def _require_same(run: Run, config: dict[str, Any]) -> None:
    wanted, held = flat(spelled_out(config)), spelled_out(run.config)
    for name, value in flat(held).items():
        if wanted.get(name) != value:
            raise UserError(
                f"{run.path} holds a run with {name} {value!r}, not "
                f"{wanted.get(name)!r}: choose another --workdir, or repeat "
                "that run's own command to continue it."
            )
