"""Which versions of a model a server should have loaded."""

import os
import re
from pathlib import Path

from dfk.serving.stubs import model_server_config_pb2

ModelConfig = model_server_config_pb2.ModelConfig
_INT64 = range(-(2**63), 2**63)


def scan(base_path: str | Path) -> dict[int, Path]:
    """Finds the versions below a model's base path.

    A version is a child whose name is a whole number (`0003` is version 3);
    anything else, such as `v1` or an unfinished export, is passed over. Of
    two names for one number the last in sorted order counts.

    Args:
        base_path: a model's folder.

    Returns:
        Folders by version.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    found = {}
    for name in sorted(os.listdir(base_path)):
        if re.fullmatch(r"[+-]?[0-9]+", name) and int(name) in _INT64:
            found[int(name)] = Path(base_path) / name
    return found


def aspired(model: ModelConfig, found: dict[int, Path]) -> list[int]:
    """The versions that a model's policy asks for, highest first.

    Args:
        model: the model's entry in `models.config`.
        found: what `scan` found.

    Returns:
        Version numbers, all of them in `found`.
    """
    policy = model.model_version_policy
    ordered = sorted(found, reverse=True)
    match policy.WhichOneof("policy_choice"):
        case "all":
            return ordered
        case "specific":
            return [v for v in ordered if v in policy.specific.versions]
        case _:
            return ordered[: policy.latest.num_versions or 1]
