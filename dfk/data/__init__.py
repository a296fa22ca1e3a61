"""Data sets of faces, as splits of decoded and labelled images.

Example:
    >>> from dfk import data
    >>> faces = data.load("real_fake_faces/sample")
    >>> faces.splits["train"].size
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfk.data.faces import FaceData, FaceSplit
    from dfk.data.folder_faces import unreadable_files
    from dfk.data.sources import DEFAULT, SPLITS, load

__all__ = [
    "DEFAULT",
    "SPLITS",
    "FaceData",
    "FaceSplit",
    "load",
    "unreadable_files",
]

_MODULES = {
    "FaceData": "faces",
    "FaceSplit": "faces",
    "unreadable_files": "folder_faces",
    "DEFAULT": "sources",
    "SPLITS": "sources",
    "load": "sources",
}


def __getattr__(name: str) -> Any:
    # Imported on demand, so that `dfk.data.names` does not need TensorFlow.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return getattr(module, name)
