"""The versions of an exported model."""

import os
import re
from pathlib import Path

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
