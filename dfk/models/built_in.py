"""The detector that comes with dfk, under the name `default`.

It is a head on CLIP's frozen image tower. The head lies in the package, as
plain arrays; the tower's weights come with pip when they are
first needed.
"""

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dfk.errors import UserError
from dfk.files import replacing, write_json
from dfk.models.named_layers import HEAD, LOGIT
from dfk.models.registry import build
from dfk.runs import BUILT_IN, Run, built_in_run

FOLDER = resources.files("dfk.models") / BUILT_IN
_HEAD, _ABOUT, _CARD = "head.npz", "about.json", "card.md"


def load() -> keras.Model:
    """Builds the detector from the tower's weights and the shipped head.

    Returns:
        The detector, as `dfk.models.load` gives that of a run.

    Raises:
        UserError: the tower's weights are not available.

    Example:
        >>> load().output_shape
        (None, 1)
    """
    about = _about()
    detector = build(
        about["config"]["model"],
        about["image_size"],
        about["config"]["weights"],
        about["families"],
    )
    with resources.as_file(FOLDER / _HEAD) as path, np.load(path) as arrays:
        for name in HEAD:
            layer = detector.get_layer(name)
            numbers = range(len(layer.weights))
            layer.set_weights([arrays[f"{name}/{n}"] for n in numbers])
    return detector


def card() -> str:
    """What the detector was trained on, how good it is, and for what use.

    Example:
        >>> print(card())
    """
    return (FOLDER / _CARD).read_text(encoding="utf-8")


def as_run(path: str | Path) -> str | Path:
    """Writes the detector as a run, for what works on runs.

    Args:
        path: of a run, or `default`.

    Returns:
        The path as it is; or of `default` the folder `runs/default-<version>`,
        written unless it is there.

    Raises:
        UserError: the tower's weights are not available.

    Example:
        >>> as_run("default")
        PosixPath('runs/default-2')
    """
    if str(path) != BUILT_IN:
        return path
    about = _about()
    run = built_in_run()
    head = hashlib.sha256((FOLDER / _HEAD).read_bytes()).hexdigest()
    if not run.model_path.is_file() or run.config.get("head") != head:
        detector = load()
        # So that what is stopped here is not taken for a finished run.
        run.model_path.unlink(missing_ok=True)
        run.write_config(about["config"] | {"head": head})
        run.finish(detector, about["results"])
    return run.path


def write(run: Run, detector: keras.Model, folder: Path) -> Path:
    """Writes the head of a run's detector, for the package.

    Args:
        run: a finished run on a frozen backbone.
        detector: its detector.
        folder: where `head.npz` and `about.json` are written.

    Returns:
        Where its card belongs.

    Raises:
        UserError: the backbone was trained, and so cannot come with pip.

    Example:
        >>> write(run, models.load(run.path), Path("dfk/models/default"))
        PosixPath('dfk/models/default/card.md')
    """
    if run.config["unfreeze"] != "none":
        raise UserError(
            f"The backbone of {run.path} was trained: pass a run of "
            "`python -m dfk.train --unfreeze=none`."
        )
    arrays = {
        f"{name}/{number}": weight
        for name in HEAD
        for number, weight in enumerate(detector.get_layer(name).get_weights())
    }
    about = {
        "image_size": detector.input_shape[1],
        "families": detector.get_layer(LOGIT).families,
        "config": run.config,
        "results": run.results,
    }
    with replacing(folder / _HEAD) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    write_json(folder / _ABOUT, about)
    return folder / _CARD


def _about() -> dict[str, Any]:
    return json.loads((FOLDER / _ABOUT).read_text(encoding="utf-8"))
