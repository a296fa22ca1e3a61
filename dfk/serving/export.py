"""From a finished run to a versioned SavedModel that a server picks up."""

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import dfk
from dfk import models, pages
from dfk.data import names
from dfk.data.folders import LABELS
from dfk.errors import UserError
from dfk.files import (
    exclusive_lock,
    expanded,
    replacing,
    write_json,
    write_text,
    writing,
)
from dfk.models.conformal import required_images
from dfk.prediction.exported import (
    DESCRIPTION,
    scan_versions,
    write_manifest,
)
from dfk.prediction.predictor import BATCH
from dfk.prediction.signatures import signatures
from dfk.provenance import provenance
from dfk.runs import Run
from dfk.serving import model_config, warmup
from dfk.serving.footprint import Footprint, footprint, require_linux
from dfk.serving.precision import BFLOAT16, FLOAT32, compared


def export(
    run_path: str | Path,
    saved_models: str | Path = "saved_models",
    name: str | None = None,
    config: str | Path = "serving/models.config",
    precision: str = FLOAT32,
    with_memory: bool = False,
) -> Path:
    """Exports a run's detector as the next version of a served model.

    The version's folder holds the SavedModel with the signatures of
    `dfk.prediction.signatures`, its labels (`assets/labels.txt`), warm-up
    requests, a description and a manifest of all files (`assets.extra/`),
    `model.keras`, and a card that says what was measured. It is written beside
    its place and renamed, so that a running server sees all of it or nothing,
    and an export that fails leaves nothing behind.

    Args:
        run_path: the folder of a finished run.
        saved_models: the folder that a server sees as `/models`.
        name: the model's name for callers; the detector's if None.
        config: the `models.config` that is to list the model.
        precision: in what the graph multiplies, `float32` or `bfloat16`; see
            `dfk.serving.precision`. `model.keras` keeps float32.
        with_memory: measure the memory that serving it takes, for the card.

    Returns:
        `saved_models/<name>/<version>`.

    Raises:
        UserError: no finished run, a name that cannot be a folder's, a
            `models.config` that cannot be read or written, a precision that
            is unknown, costs too much, or cannot be compared, or memory that
            cannot be measured.

    Example:
        >>> export("runs/facenet")
        PosixPath('saved_models/facenet/1')
    """
    run = Run.finished(run_path)
    name = name or run.config["model"]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UserError(
            f"A model cannot be called {name!r}: use letters, digits, '_', "
            "'-' and '.' for --name."
        )
    saved_models, config = (expanded(path) for path in (saved_models, config))
    if precision not in (FLOAT32, BFLOAT16):
        raise UserError(
            f"A graph multiplies in {FLOAT32} or {BFLOAT16}: pass one of them. "
            f"Received: {precision!r}."
        )
    # Sooner said now than after a minute of work.
    if with_memory:
        require_linux()
    if config.exists():
        model_config.read(config)
    saved_models.mkdir(parents=True, exist_ok=True)
    detector, reduced = models.load(run.path), None
    if precision == BFLOAT16:
        detector, reduced = compared(run, detector)
    # Hidden and no number, so that no server takes it for a version.
    staging = Path(tempfile.mkdtemp(prefix=".export-", dir=saved_models))
    try:
        version = staging / "version"
        with writing(saved_models):
            _write(detector, version, name)
            with replacing(version / "model.keras") as partial:
                shutil.copyfile(run.model_path, partial)
            write_card(
                version / "MODEL_CARD.md",
                run,
                detector,
                name,
                reduced,
                footprint(version) if with_memory else None,
            )
            write_manifest(
                version,
                {
                    "name": name,
                    "format": dfk.FORMAT,
                    "versions": provenance()["versions"],
                },
            )
        return _publish(version, saved_models / name, config)
    finally:
        shutil.rmtree(staging)


def _write(detector: keras.Model, version: Path, name: str) -> None:
    """Writes the SavedModel, its warm-up requests and its description."""
    labels = version.parent / "labels.txt"
    labels.write_text("".join(f"{label}\n" for label in LABELS))
    module = tf.Module()
    # Only the weights: tracking the Keras model would export its own
    # functions as well.
    module.detector_weights = [v.value for v in detector.variables]
    module.labels = tf.saved_model.Asset(str(labels))
    tf.saved_model.save(module, str(version), signatures(detector))
    image_size = detector.input_shape[1]
    warmup.write(version, name, image_size)
    description = {
        "format": dfk.FORMAT,
        "dfk": dfk.__version__,
        "name": name,
        "image_size": image_size,
    }
    write_json(version / DESCRIPTION, description)


def _publish(version: Path, base_path: Path, config: Path) -> Path:
    """Moves a complete version into place and lists its model."""
    with exclusive_lock(base_path.parent):
        final = _place(version, base_path)
    try:
        model_config.add(config, base_path.name)
    except BaseException as error:
        with exclusive_lock(base_path.parent), contextlib.suppress(OSError):
            shutil.rmtree(final)
            # Other versions keep it.
            base_path.rmdir()
        if isinstance(error, OSError):
            raise UserError(
                f"Cannot list the model in {config} "
                f"({error.strerror or error}): correct the rights to that "
                "file, make room, or name another one with --config."
            ) from error
        raise
    return final


def _place(version: Path, base_path: Path) -> Path:
    """Makes it the next version of its model."""
    try:
        base_path.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise UserError(
            f"{base_path} is a file, where the model's versions belong: move "
            "it away, or pass another --saved_models or --name."
        ) from error
    final = base_path / str(max(scan_versions(base_path), default=0) + 1)
    os.rename(version, final)
    return final


def write_card(
    path: Path,
    run: Run,
    detector: keras.Model,
    name: str,
    reduced: dict[str, Any] | None = None,
    memory: Footprint | None = None,
) -> None:
    """Writes a model card in the format of the Hugging Face Hub.

    No figure in it is typed by hand: all come from the run's `results.json`,
    its configuration and the detector's own calibration.

    Args:
        path: of the card.
        run: what is exported.
        detector: its model.
        name: the model's name for callers.
        reduced: what `dfk.serving.precision.compared` found, if the graph
            multiplies in bfloat16.
        memory: that serving it takes, if it was measured.

    Reference:
        Mitchell et al., "Model Cards for Model Reporting", FAT* 2019;
        https://huggingface.co/docs/hub/model-cards

    Example:
        >>> write_card(Path("MODEL_CARD.md"), run, detector, "facenet")
    """
    config, results = run.config, run.results
    calibration = models.score_layer(detector).calibration
    here = provenance()
    card = pages.render(
        "model_card.md",
        name=name,
        run=str(run.path),
        config=config,
        training=results.get("training", {}),
        training_data=_source(config),
        evaluations={
            key: record | {"source": _source(record)}
            for key, record in results.get("evaluation", {}).items()
        },
        left_out=results.get("leave_one_out", {}),
        cross=results.get("cross"),
        reduced=reduced,
        memory=memory,
        batch=BATCH,
        versions=here["versions"],
        machine=here["machine"],
        calibration=calibration,
        required=required_images(calibration.error_rate),
        image_size=detector.input_shape[1],
        ood_limit=np.isfinite(models.ood_layer(detector).limit),
    )
    write_text(path, card)


def _source(described: dict[str, Any]) -> str | None:
    """The name of a data set, without the folders that it lies in."""
    data_dir = described.get("data_dir")
    return names.short(data_dir) if data_dir else described.get("dataset")
