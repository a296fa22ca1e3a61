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
from dfk.models.head import embedder, pooled_views
from dfk.models.judge import Judgement, judge
from dfk.models.novelty import novelty_gauge
from dfk.models.registry import Detector, build, get, names
from dfk.models.saved import load
from dfk.models.verdicts import Calibration, score_layer, verdicts

__all__ = [
    "Calibration",
    "Detector",
    "Judgement",
    "build",
    "classifiers",
    "cnn",
    "efficientnet",
    "efficientnet_lite",
    "embedder",
    "facenet",
    "forensic",
    "get",
    "judge",
    "load",
    "names",
    "novelty_gauge",
    "pooled_views",
    "resnet",
    "score_layer",
    "verdicts",
]
