"""The folders of exported detectors: their versions, and whether all is there.

An export says in a manifest how large each of its files is, and its SHA-256.
"""

import os
import re
from pathlib import Path
from typing import Any

from dfk.errors import UserError
from dfk.files import read_json, sha256, write_json

# What `dfk.export` says of an exported detector, beside its graph.
DESCRIPTION = Path("assets.extra", "detector.json")
MANIFEST = Path("assets.extra", "manifest.json")
# For people and for Keras; nothing that loads the graph reads them.
_BESIDE_THE_GRAPH = {"MODEL_CARD.md", "model.keras"}
_REMEDY = (
    "copy it again from where it was exported, or export its run again with "
    "`python -m dfk.export RUN`"
)
_INT64 = range(-(2**63), 2**63)


def is_export(path: Path) -> bool:
    """Whether a folder is that of one version, whole or not.

    Args:
        path: may be anything, or nothing.
    """
    return any((path / name).is_file() for name in ("saved_model.pb", MANIFEST))


def is_version(path: Path) -> bool:
    """Whether a folder is that of a version, under a model's folder.

    Args:
        path: may be anything, or nothing.
    """
    return is_export(path) and path in scan_versions(path.parent).values()


def scan_versions(base_path: str | Path) -> dict[int, Path]:
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


def write_manifest(version: Path, description: dict[str, Any]) -> None:
    """Writes down the files of an export that is otherwise complete.

    Args:
        version: its folder.
        description: what else the manifest says, by name.

    Example:
        >>> write_manifest(Path("saved_models/clip/3"), {"name": "clip"})
    """
    files = {
        path.relative_to(version).as_posix(): _measured(path)
        for path in sorted(version.rglob("*"))
        if path.is_file()
    }
    write_json(version / MANIFEST, description | {"files": files})


def require_whole(version: Path, graph_only: bool = False) -> None:
    """Compares the files of an export with its manifest.

    Files that were added are left alone: an operator may have settings there.

    Args:
        version: the folder of an export that has a manifest.
        graph_only: pass over the card and `model.keras`, which a server does
            not read.

    Raises:
        UserError: a file is absent, or not as it was exported.

    Example:
        >>> require_whole(Path("saved_models/clip/3"))
    """
    files = read_json(version / MANIFEST, ["files"], _REMEDY)["files"]
    for name, expected in files.items():
        if graph_only and name in _BESIDE_THE_GRAPH:
            continue
        damage = _damage(version / name, expected)
        if damage:
            raise UserError(
                f"{version} is not as it was exported, since {name} {damage}: "
                f"{_REMEDY}."
            )


def _damage(path: Path, expected: dict[str, int | str]) -> str | None:
    if not path.is_file():
        return "is absent"
    size = path.stat().st_size
    if size != expected["size"]:
        return f"has {size} bytes instead of {expected['size']}"
    if _measured(path) != expected:
        return "has another SHA-256"
    return None


def _measured(path: Path) -> dict[str, int | str]:
    return {"size": path.stat().st_size, "sha256": sha256(path)}
