"""The detectors: one file each, one registry, one head.

Example:
    >>> from dfk import models
    >>> models.names()
    ['clip', 'cnn', 'efficientnet', 'efficientnet_lite', 'facenet', ...]
    >>> detector = models.build("cnn", image_size=128)
    >>> trained = models.load("runs/facenet")
"""

# Comes first, since Keras reads its backend only once.
from dfk.models import backend  # noqa: F401

# isort: split
from dfk.models.calibration import Calibration
from dfk.models.conformal import verdicts
from dfk.models.head import pooled_flips
from dfk.models.named_layers import (
    backbone_layers,
    embedder,
    embedding_model,
    knows_families,
    logit_head,
    logit_model,
    ood_layer,
    score_layer,
)
from dfk.models.registry import (
    Detector,
    Recipe,
    build,
    get,
    names,
    register,
)
from dfk.models.weights import load

# isort: split
# Importing a detector's file registers it. They come last, so that a file may
# import what it needs from `dfk.models`.
from dfk.models import (  # noqa: F401
    clip,
    cnn,
    efficientnet,
    efficientnet_lite,
    facenet,
    forensic,
    resnet,
)

__all__ = [
    "Calibration",
    "Detector",
    "Recipe",
    "backbone_layers",
    "build",
    "embedder",
    "embedding_model",
    "get",
    "knows_families",
    "load",
    "logit_head",
    "logit_model",
    "names",
    "ood_layer",
    "pooled_flips",
    "register",
    "score_layer",
    "verdicts",
]
