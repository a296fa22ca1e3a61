"""Data sets of faces, as the splits that training and evaluation read.

Example:
    >>> from dfk import data
    >>> faces = data.load("real_fake_faces/sample")
    >>> faces.splits["train"].size
"""

from dfk.data.sources import (
    DEFAULT,
    FaceData,
    FaceSplit,
    load,
    unreadable_files,
)

__all__ = ["DEFAULT", "FaceData", "FaceSplit", "load", "unreadable_files"]
