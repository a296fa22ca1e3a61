"""Exports a finished run for serving.

    python -m dfk.export RUN [--name=NAME] [--saved_models=DIR]
    python -m dfk.export --check serving/models.config

Writes a SavedModel to saved_models/<name>/<next version>/ with model.keras
and MODEL_CARD.md (what was measured, in the Hugging Face format) beside it,
and lists the model in serving/models.config. A running server picks a new
version up by itself.

With --check it exports nothing. It says what a model server would not take of
a models.config and its models, or of one exported model or version, and
compares their files with what was exported: status 0 if all is well, else 1.
"""

import shlex
import sys
from collections.abc import Sequence

from absl import flags

from dfk import cli
from dfk.errors import UserError

_SAVED_MODELS = flags.DEFINE_string(
    "saved_models", "saved_models", "The folder of all exported models."
)
_NAME = flags.DEFINE_string(
    "name", None, "The model's name for callers; default: the detector's."
)
_CONFIG = flags.DEFINE_string(
    "config", "serving/models.config", "The list of models that are served."
)
_CHECK = flags.DEFINE_bool(
    "check", False, "Only check a models.config or what was exported."
)


def main(argv: Sequence[str]) -> int:
    """Exports the run named on the command line."""
    if _CHECK.value:
        return _check(argv)
    if len(argv) != 2:
        raise UserError(
            f"One run must be named, but {len(argv) - 1} were: pass the "
            "folder that `python -m dfk.train` named when it ended."
        )
    cli.start_tensorflow()
    from dfk.serving.export import export

    path = export(argv[1], _SAVED_MODELS.value, _NAME.value, _CONFIG.value)
    print(f"Exported {path} and listed it in {_CONFIG.value}.")
    flags_of_serve = {"config": _CONFIG, "models_root": _SAVED_MODELS}
    other = [
        f"--{name}={flag.value}"
        for name, flag in flags_of_serve.items()
        if flag.value != flag.default
    ]
    print("Serve it:", shlex.join(["python", "-m", "dfk.serve", *other]))
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


if __name__ == "__main__":
    cli.run(main)
