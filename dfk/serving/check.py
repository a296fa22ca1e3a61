"""Whether a model server would take an export, or a models.config, as it is."""

from pathlib import Path

from dfk.errors import UserError
from dfk.files import expanded
from dfk.prediction.exported import (
    MANIFEST,
    is_export,
    require_whole,
    scan_versions,
)
from dfk.serving import model_config
from dfk.serving.model_config import ModelConfig


def check(path: str | Path, models_root: str | Path) -> list[str]:
    """Finds what a model server would not take, without starting one.

    The files of each version are compared with the manifest that the export
    wrote, so a warm-up request that was damaged is found; none is run.

    Args:
        path: a version's folder, a model's folder, or a `models.config`. Of
            that, the models and the versions that it names are checked too.
        models_root: the folder that the container sees as `/models`.

    Returns:
        What is wrong, in sentences.

    Example:
        >>> check("saved_models/clip/3", "saved_models")
        []
    """
    path = expanded(path)
    if is_export(path):
        return _of_version(path)
    if path.is_dir():
        return _of_versions(path)
    try:
        config = model_config.read_local(path, models_root)
    except UserError as error:
        return [str(error)]
    return [
        problem
        for model in config.model_config_list.config
        for problem in _of_model(model)
    ]


def _of_model(model: ModelConfig) -> list[str]:
    base_path = Path(model.base_path)
    if not base_path.is_dir():
        return [
            f"The model {model.name} has no folder {base_path}: export it "
            "with `python -m dfk.export RUN`, or pass --saved_models."
        ]
    found = scan_versions(base_path)
    selected = model_config.select(model, found)
    if found and not selected:
        return [
            f"The policy of {model.name} names no version that {base_path} "
            f"has ({_listed(found)}): correct its model_version_policy."
        ]
    problems = [
        f"The label {label!r} of {model.name} names version {number}, which "
        f"is not served ({_listed(selected)}): move the label, or have its "
        "model_version_policy name that version."
        for label, number in sorted(model.version_labels.items())
        if found and number not in selected
    ]
    return problems + _of_versions(base_path, selected)


def _of_versions(base_path: Path, only: list[int] | None = None) -> list[str]:
    found = scan_versions(base_path)
    if not found:
        return [
            f"{base_path} has no version, which is a folder whose name is a "
            "whole number: export one with `python -m dfk.export RUN`."
        ]
    numbers = sorted(found) if only is None else only
    return [
        problem for number in numbers for problem in _of_version(found[number])
    ]


def _of_version(version: Path) -> list[str]:
    if not is_export(version):
        return [
            f"{version} holds no saved_model.pb: delete it, or export its run "
            "again with `python -m dfk.export RUN`."
        ]
    if not (version / MANIFEST).is_file():
        return [
            f"{version} has no {MANIFEST} with which its files could be "
            "compared: export its run again with `python -m dfk.export RUN`."
        ]
    try:
        require_whole(version)
    except UserError as error:
        return [str(error)]
    return []


def _listed(versions) -> str:
    return ", ".join(map(str, sorted(versions)))
