"""Exports a finished run for serving, and says which version callers get.

    python -m dfk.export RUN [--name=NAME] [--saved_models=DIR]
    python -m dfk.export default
    python -m dfk.export RUN --precision=bfloat16
    python -m dfk.export RUN --label=canary --server=HOST:PORT
    python -m dfk.export saved_models/clip/3 --label=stable --server=HOST:PORT
    python -m dfk.export --check serving/models.config

Writes a SavedModel to saved_models/<name>/<next version>/ with model.keras
and MODEL_CARD.md (what was measured, in the Hugging Face format) beside it,
and lists the model in serving/models.config. A running server picks a new
version up by itself. `default` is the built-in detector, without any training;
it is written into runs/ first.

With --precision=bfloat16, the graph multiplies in bfloat16, which may be
faster on processors with instructions for it. What that does to the ROC AUC on
the run's validation pictures is written into the card; a loss of more than
0.005 is refused.

With --memory, the memory that serving it takes is measured and written into
the card: that of one version, and of two, which are there while versions roll.

With --label and --server, it waits until the server has loaded the version,
and only then gives it the label in models.config. A version's folder in place
of the run means that version, so a label moves on, or back. With --prune=2,
older versions are deleted afterwards.

With --check it exports nothing. It says what a model server would not take of
a models.config and its models (by default, those of --config), or of a model's
or a version's folder, and compares the files with what was exported: status 0
if all is well, else 1.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.files import expanded
from dfk.runs import BUILT_IN

_SAVED_MODELS = flags.DEFINE_string(
    "saved_models", "saved_models", "The folder of all exported models."
)
_NAME = flags.DEFINE_string(
    "name", None, "The model's name for callers; default: the detector's."
)
_CONFIG = flags.DEFINE_string(
    "config", "serving/models.config", "The list of models that are served."
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16"],
    "In what the graph multiplies; the head, norms and sums keep float32.",
)
_MEMORY = flags.DEFINE_bool(
    "memory", False, "Measure the memory that serving it takes, for the card."
)
_LABEL = flags.DEFINE_string(
    "label", None, "What callers may ask for in place of a version's number."
)
_SERVER = flags.DEFINE_string(
    "server",
    None,
    "The gRPC address of the model server that must have loaded the version "
    "before it gets the label.",
)
_TIMEOUT = flags.DEFINE_float(
    "timeout",
    300.0,
    "Seconds to wait until the server has loaded the version.",
    lower_bound=0.0,
)
_PRUNE = flags.DEFINE_integer(
    "prune",
    None,
    "Afterwards, keep so many of the newest versions, and those that labels or "
    "models.config name, and delete the others.",
    lower_bound=1,
)
_CHECK = flags.DEFINE_bool(
    "check", False, "Only check a models.config or what was exported."
)


def main(argv: Sequence[str]) -> int:
    """Exports the run named on the command line, or does what flags say."""
    if _CHECK.value:
        return _check(argv)
    if len(argv) != 2:
        raise UserError(
            f"One run must be named, but {len(argv) - 1} were: pass the "
            "folder that `python -m dfk.train` named when it ended."
        )
    from dfk.prediction.exported import is_version
    from dfk.serving import publish

    version = expanded(argv[1])
    is_new = not is_version(version)
    _check_flags(argv[1], is_new)
    if _SERVER.value:
        # Sooner said now than after a minute of work.
        publish.require_server(_SERVER.value)
    if is_new:
        version = _export(argv[1])
    if _SERVER.value:
        _move_label(version, is_new)
    if _PRUNE.value:
        deleted = publish.prune(version, _PRUNE.value, _CONFIG.value)
        print(f"Deleted {', '.join(map(str, deleted)) or 'no version'}.")
    return 0


def _check(argv: Sequence[str]) -> int:
    from dfk.serving.check import check

    paths = argv[1:] or [_CONFIG.value]
    problems = [p for path in paths for p in check(path, _SAVED_MODELS.value)]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        return 1
    print(f"{', '.join(paths)}: nothing is wrong.")
    return 0


def _check_flags(source: str, is_new: bool) -> None:
    if _SERVER.value and not _LABEL.value:
        raise UserError(
            "--server is asked about a version that gets a label: pass "
            "--label as well, or leave it out."
        )
    if is_new:
        return
    made = (_NAME, _PRECISION, _MEMORY)
    if any(flag.value != flag.default for flag in made) or (
        _LABEL.value and not _SERVER.value
    ):
        raise UserError(
            f"{source} is exported already: pass --label with --server to give "
            "it a label, and no --name, --precision or --memory."
        )
    if not (_SERVER.value or _PRUNE.value):
        raise UserError(
            f"{source} is exported already: pass --label and --server to give "
            "it a label, --prune to delete older versions, or a run."
        )


def _export(run: str) -> Path:
    cli.start_tensorflow()
    from dfk.models import built_in
    from dfk.serving.export import export
    from dfk.serving.publish import is_served

    name = _NAME.value or (BUILT_IN if run == BUILT_IN else None)
    version = export(
        built_in.as_run(run),
        _SAVED_MODELS.value,
        name,
        _CONFIG.value,
        _PRECISION.value,
        _MEMORY.value,
    )
    print(f"Exported {version} and listed it in {_CONFIG.value}.")
    if _SERVER.value:
        return version
    label = _LABEL.value or "LABEL"
    arguments = [str(version), f"--label={label}", "--server=HOST:PORT"]
    if _LABEL.value:
        print(f"The label {label} moves when a server has loaded it:", end=" ")
        print(_command("export", arguments, config=_CONFIG))
    elif not is_served(version, _CONFIG.value):
        print(f"{_CONFIG.value} names other versions; serve it too:", end=" ")
        print(_command("export", arguments, config=_CONFIG))
    serve = _command("serve", config=_CONFIG, models_root=_SAVED_MODELS)
    print(f"Serve it: {serve}")
    return version


def _command(
    name: str, arguments: Sequence[str] = (), **used: flags.FlagHolder
) -> str:
    """A command that goes on from here, with the flags that are not default."""
    others = [
        f"--{flag}={holder.value}"
        for flag, holder in used.items()
        if holder.value != holder.default
    ]
    return shlex.join(["python", "-m", f"dfk.{name}", *arguments, *others])


def _move_label(version: Path, is_new: bool) -> None:
    from dfk.serving.publish import move_label

    label, config = _LABEL.value, _CONFIG.value
    before = move_label(
        version, label, config, _SERVER.value, _TIMEOUT.value, is_new
    )
    moved = f"from version {before} " if before is not None else ""
    print(
        f"The label {label} moved {moved}to version {version.name} in "
        f"{config}, which the server follows when it reads that file again."
    )


if __name__ == "__main__":
    cli.run(main)
