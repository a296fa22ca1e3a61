"""Which folder a training goes on in: a run that was stopped, or a new one."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfk.errors import UserError
from dfk.files import exclusive_lock, is_locked
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
    require_same(run, config)
    return run


def require_same(run: Run, config: dict[str, Any]) -> None:
    """Refuses to go on with a run under other settings than its own.

    Args:
        run: its folder may be new, or hold a run.
        config: the record of a resolved `dfk.training.config.Config`.

    Raises:
        UserError: the folder holds another run.
    """
    if not run.config_path.is_file():
        return
    held = run.config
    if "recipe" not in held and not run.model_path.is_file():
        raise UserError(
            f"{run.path} was begun by an earlier version of dfk, which did not "
            "write down its recipe: choose another --workdir."
        )
    found = difference(held, config)
    if found:
        name, theirs, ours = found
        raise UserError(
            f"{run.path} holds a run with {name} {theirs!r}, not {ours!r}: "
            "choose another --workdir, or repeat that run's own command to "
            "continue it."
        )


def difference(
    held: dict[str, Any], wanted: dict[str, Any]
) -> tuple[str, Any, Any] | None:
    """The first setting of a record that another does not share.

    Args:
        held: the record of a run.
        wanted: the record of a resolved `dfk.training.config.Config`. Its
            epochs may still be open (`None`), which differs from nothing.

    Returns:
        The setting's name and both values; None if there is no such setting.

    Example:
        >>> difference({"model": "cnn", "seed": 0}, {"model": "cnn", "seed": 1})
        ('seed', 0, 1)
    """
    ours = flat(spelled_out(wanted))
    for name, theirs in flat(spelled_out(held)).items():
        is_open = name == "epochs" and ours.get(name) is None
        if ours.get(name) != theirs and not is_open:
            return name, theirs, ours.get(name)
    return None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a folder to this process; it is made if need be.

    Folders that were made and stayed empty are removed at the end.

    Raises:
        UserError: another process is training into it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(folder, wait=False))
        except BlockingIOError as error:
            raise UserError(
                f"Another process is training into {folder}: wait for it, or "
                "choose another --workdir."
            ) from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                for path in made:
                    path.rmdir()


def _unfinished(config: dict[str, Any]) -> Run | None:
    for path in sorted(Path("runs").glob("*/config.json"), reverse=True):
        run = Run(path.parent)
        if run.model_path.is_file() or is_locked(run.path):
            continue
        held = run.config
        if "recipe" in held and difference(held, config) is None:
            return run
    return None
