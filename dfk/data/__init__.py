"""Data sets of faces, as splits of decoded and labelled images.

Example:
    >>> from dfk import data
    >>> faces = data.load("real_fake_faces/sample")
    >>> faces.splits["train"].size
"""

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
