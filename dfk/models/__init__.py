"""The detectors: one file each, one registry, one head.

Example:
    >>> from dfk import models
    >>> models.names()
    ['cnn', 'efficientnet', 'efficientnet_lite', 'facenet', 'resnet']
    >>> detector = models.build("facenet", image_size=128)
    >>> trained = models.load("runs/facenet-20260101-120000")
"""

from dfk.models import cnn, efficientnet, efficientnet_lite, facenet, resnet
from dfk.models.head import (
    CalibratedScore,
    Calibration,
    embedder,
    score_layer,
    verdicts,
)
from dfk.models.registry import Detector, build, get, names
from dfk.models.saved import load

__all__ = [
    "CalibratedScore",
    "Calibration",
    "Detector",
    "build",
    "cnn",
    "efficientnet",
    "efficientnet_lite",
    "embedder",
    "facenet",
    "get",
    "load",
    "names",
    "resnet",
    "score_layer",
    "verdicts",
]
