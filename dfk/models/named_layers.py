"""The layers that every detector has, by name, and typed access to them.

Training, export, explanations and combinations all need parts of a detector.
They get them here, so that each name stands in one place.
"""

from typing import TYPE_CHECKING

import keras

from dfk.models.layers import UnitLength

if TYPE_CHECKING:
    from dfk.models.calibration import CalibratedScore
    from dfk.models.out_of_distribution import OutOfDistributionScore

# From the pooled maps of the backbone to the score, in the graph's order.
WITH_FLIPS = "with_flips"
POOLED = "pooled"
FEATURES = "features"
OOD_SCORE = "ood_score"
FEATURES_NORM = "features_norm"
# Only of a detector that was shown several families of fakes.
CLASSES = "classes"
LOGIT = "logit"
FAKE_PROBABILITY = "fake_probability"
# The backbone's own embedding, which only some detectors have.
EMBEDDING = "embedding"
# Layers with weights that are no part of a backbone.
HEAD = (OOD_SCORE, FEATURES_NORM, CLASSES, LOGIT, FAKE_PROBABILITY)
# What a model must have to be a detector.
REQUIRED = (FEATURES, OOD_SCORE, LOGIT, FAKE_PROBABILITY)


def score_layer(detector: keras.Model) -> "CalibratedScore":
    """The last layer of a detector: read or set its `calibration`.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.
    """
    return detector.get_layer(FAKE_PROBABILITY)


def ood_layer(detector: keras.Model) -> "OutOfDistributionScore":
    """The layer of a detector that holds its out-of-distribution score.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.
    """
    return detector.get_layer(OOD_SCORE)


def knows_families(detector: keras.Model) -> bool:
    """Whether a detector has a class for each of several families of fakes."""
    return any(layer.name == CLASSES for layer in detector.layers)


def backbone_layers(detector: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a detector's backbone that have weights, in graph order."""
    return [
        layer
        for layer in detector.layers
        if layer.weights and layer.name not in HEAD
    ]


def embedder(detector: keras.Model) -> keras.Model:
    """The part of a detector from images to features `[N, D]`.

    It shares the detector's layers.
    """
    return keras.Model(detector.input, detector.get_layer(FEATURES).output)


def embedding_model(detector: keras.Model) -> keras.Model:
    """The part of a detector from images to embeddings `[N, E]` of length 1.

    That is the backbone's own embedding, or else the features. It shares the
    detector's layers.
    """
    own = [each for each in detector.layers if each.name == EMBEDDING]
    if own:
        x = own[0].output
    else:
        x = UnitLength(name=EMBEDDING)(embedder(detector).output)
    return keras.Model(detector.input, x, name=f"{detector.name}_embedding")


def logit_head(detector: keras.Model) -> keras.Model:
    """The part of a detector from features `[N, D]` to logits `[N, 1]`.

    It shares the detector's layers.
    """
    features = detector.get_layer(FEATURES).output
    return keras.Model(features, detector.get_layer(LOGIT).output)


def logit_model(detector: keras.Model) -> keras.Model:
    """The part of a detector from images to uncalibrated logits `[N, 1]`.

    It shares the detector's layers.
    """
    return keras.Model(detector.input, detector.get_layer(LOGIT).output)
