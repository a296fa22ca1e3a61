"""Which folder a training goes on in: a run that was stopped, or a new one."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dfk import runs
from dfk.errors import UserError
from dfk.files import LOCK, exclusive_lock, expanded, is_locked
from dfk.runs import Run, flat, require_format


def find_run(settings: dict[str, Any], workdir: str | None = None) -> Run:
    """Finds the run to go on with, or names a new one.

    Args:
        settings: of a resolved `dfk.training.config.Config`.
        workdir: the run's folder; by default the one under `runs/` that equal
            settings left unfinished and no other process is training into, or
            a new one there.

    Returns:
        The run, whose folder need not exist yet.

    Raises:
        UserError: the folder holds another run, or several workers were not
            told which folder to share.

    Example:
        >>> find_run(config.settings(), "runs/mine").path
        PosixPath('runs/mine')
    """
    run = Run(find_folder(settings, workdir, _unfinished(settings)))
    require_same_run(run, settings)
    return run


def find_folder(
    settings: dict[str, Any], workdir: str | None, unfinished: Iterable[Path]
) -> Path:
    """Chooses the folder of a run, or of several runs.

    Args:
        settings: of a resolved `dfk.training.config.Config`.
        workdir: the folder that the user chose, if any.
        unfinished: folders that could be resumed, the best one first.

    Raises:
        UserError: several workers were not told which folder to share.
    """
    if workdir is not None:
        return expanded(workdir)
    if settings["strategy"] == "multi_worker":
        raise UserError(
            "--strategy=multi_worker needs --workdir: all workers must name "
            "the same folder."
        )
    new = Path(f"runs/{settings['model']}-{time.strftime('%Y%m%d-%H%M%S')}")
    return next((path for path in unfinished if not is_locked(path)), new)


def _unfinished(settings: dict[str, Any]) -> Iterator[Path]:
    for path in sorted(Path("runs").glob("*/config.json"), reverse=True):
        run = Run(path.parent)
        # What is damaged cannot be resumed, and is not what was asked for.
        with contextlib.suppress(UserError, OSError):
            if not run.model_path.is_file() and not difference(
                run.config, settings
            ):
                yield run.path


def require_same_run(run: Run, settings: dict[str, Any]) -> None:
    """Refuses to go on with a run under other settings than its own.

    Args:
        run: its folder may be new, or hold a run.
        settings: of a resolved `dfk.training.config.Config`.

    Raises:
        UserError: the folder holds another run, or one of an earlier version.
    """
    if run.config_path.is_file():
        require_same(run.path, "a run", run.config, settings)


def require_same_images(run: Run, plan: dict[str, Any]) -> None:
    """Refuses to go on with a run on other images than it began with.

    The seeds of repeats began with the first of them.

    Args:
        run: its folder may be new, or hold a run.
        plan: what `Plan.record` gives.

    Raises:
        UserError: images came, went or were replaced since, or are read in
            another way.
    """
    seeds = runs.seeds(run.path.parent)
    for begun in map(Run, seeds if run.path in seeds else [run.path]):
        if not begun.config_path.is_file():
            continue
        # What a run did not note counts as equal.
        held = plan | begun.config.get("plan", {})
        for split in ("training", "validation"):
            images, listing = f"{split}_images", f"{split}_listing"
            if (held[images], held[listing]) != (plan[images], plan[listing]):
                raise UserError(
                    f"The {split} pictures, or how dfk reads them, have "
                    f"changed since {begun.path} began ({held[images]} then, "
                    f"{plan[images]} now): put them back, or choose another "
                    "--workdir."
                )


def require_same(
    folder: Path, what: str, held: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Refuses a folder whose settings are not the ones that are wanted.

    Args:
        folder: of a run, or of several.
        what: it holds, for the message.
        held: its settings.
        settings: of a resolved `dfk.training.config.Config`.

    Raises:
        UserError: they differ, or an earlier version wrote the folder.
    """
    require_format(folder, held)
    found = difference(held, settings)
    if found:
        name, theirs, ours = found
        raise UserError(
            f"{folder} holds {what} with {name} {theirs!r}, not {ours!r}: "
            "choose another --workdir, or repeat the folder's own command to "
            "continue it."
        )


def difference(
    held: dict[str, Any], settings: dict[str, Any]
) -> tuple[str, Any, Any] | None:
    """The first setting of a folder that another training does not share.

    Args:
        held: the folder's settings. Its plan is not compared: it follows from
            the settings, the data and the devices.
        settings: of a resolved `dfk.training.config.Config`. Its epochs may
            still be open (`None`), which differs from nothing.

    Returns:
        The setting's name and both values; None if there is no such setting.

    Example:
        >>> difference({"model": "cnn", "seed": 0}, {"model": "cnn", "seed": 1})
        ('seed', 0, 1)
    """
    ours = flat(settings)
    compared = {name: held[name] for name in held if name != "plan"}
    for name, theirs in flat({"format": 1} | compared).items():
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
    with contextlib.ExitStack() as lock:
        try:
            lock.enter_context(exclusive_lock(folder, wait=False))
        except BlockingIOError as error:
            raise UserError(
                f"Another process is training into {folder}: wait for it, or "
                "choose another --workdir."
            ) from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if [each.name for each in folder.iterdir()] == [LOCK]:
                    (folder / LOCK).unlink()
                for path in made:
                    path.rmdir()
