"""The detectors: one file each, one registry, one head.

Example:
    >>> from dfk import models
    >>> models.names()
    ['cnn', 'efficientnet', 'efficientnet_lite', 'facenet', 'forensic', ...]
    >>> detector = models.build("facenet", image_size=128)
    >>> trained = models.load("runs/facenet-20260101-120000")
"""

from dfk.models import (
    classifiers,
    cnn,
    efficientnet,
    efficientnet_lite,
    facenet,
    forensic,
    resnet,
)
from dfk.models.head import (
    CalibratedScore,
    Calibration,
    embedder,
    pooled_views,
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
    "classifiers",
    "cnn",
    "efficientnet",
    "efficientnet_lite",
    "embedder",
    "facenet",
    "forensic",
    "get",
    "load",
    "names",
    "pooled_views",
    "resnet",
    "score_layer",
    "verdicts",
]
