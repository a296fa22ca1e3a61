"""Several detectors in one graph: the weighted sum of their logits.

What comes out is a detector like any other: it can be saved, loaded,
evaluated, exported and served.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import keras
import numpy as np

from dfk.models import named_layers
from dfk.models.calibration import CalibratedScore
from dfk.models.named_layers import embedder
from dfk.models.out_of_distribution import OutOfDistributionScore

_PART_LOGITS = "part_logits"


@dataclass(frozen=True)
class Part:
    """One of the detectors that are combined, divided at its features.

    Args:
        name: what to call it.
        extractor: from images `[N, S, S, 3]`, RGB in 0..255, to features
            `[N, D]`.
        head: from those features to logits of fake `[N, 1]`, such as
            `dfk.models.from_sklearn.to_keras` builds from a classifier.
    """

    name: str
    extractor: keras.Model
    head: keras.Model


def detector_part(name: str, detector: keras.Model) -> Part:
    """A trained detector as a part, without its calibration.

    Args:
        name: what to call it.
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A part that shares the detector's layers.
    """
    return Part(name, embedder(detector), named_layers.logit_head(detector))


def flatten(
    detectors: Sequence[keras.Model], weights: Sequence[float], bias: float
) -> tuple[list[Part], list[float], float]:
    """Takes detectors that `combine` made apart, for a new combination.

    Combinations are never nested, so that what reads the parts of one, such
    as an explanation, finds all of them.

    Args:
        detectors: combined ones and others.
        weights: of the detectors' logits, one each.
        bias: is added to the weighted sum.

    Returns:
        The parts, weights and bias for `combine` that give the same sum.

    Example:
        >>> combine(*flatten([svm, facenet], [0.4, 0.9], 0.1), "ensemble")
    """
    parts, factors = [], []
    for detector, weight in zip(detectors, weights, strict=True):
        if not any(layer.name == _PART_LOGITS for layer in detector.layers):
            parts.append(detector_part(detector.name, detector))
            factors.append(float(weight))
            continue
        inner, (inner_bias,) = detector.get_layer(
            named_layers.LOGIT
        ).get_weights()
        bias += float(weight * inner_bias)
        for number, factor in enumerate(inner[:, 0], 1):
            extractor, head = map(detector.get_layer, _part_names(number))
            parts.append(Part(head.name, extractor, head))
            factors.append(float(weight * factor))
    return parts, factors, bias


def combine(
    parts: Sequence[Part], weights: Sequence[float], bias: float, name: str
) -> keras.Model:
    """Puts parts into one detector: the weighted sum of their logits.

    Args:
        parts: all of one image size. Two may be of the same architecture.
        weights: of the parts' logits, one each.
        bias: is added to the sum.
        name: the detector's name.

    Returns:
        A model from images `[N, S, S, 3]` to `[N, 1]` probabilities of fake,
        not yet calibrated (see `dfk.models.score_layer`). Its layer
        `features` gives the features of all parts side by side,
        `part_logits` their logits `[N, parts]`, and `logit` the sum.

    Example:
        >>> parts = [detector_part(run, load(run)) for run in ("a", "b")]
        >>> detector = combine(parts, [0.5, 0.5], 0.0, name="ensemble")
        >>> detector.save("ensemble.keras")
    """
    images = keras.Input(parts[0].extractor.input_shape[1:], name="images")
    part_names = [_part_names(number + 1) for number in range(len(parts))]
    features = [
        _renamed(part.extractor, features_name)(images)
        for part, (features_name, _) in zip(parts, part_names, strict=True)
    ]
    # One tensor of all features, which is the detector's own embedding.
    together = _side_by_side(features, named_layers.FEATURES)
    together = OutOfDistributionScore(
        name=named_layers.OOD_SCORE, dtype="float32"
    )(together)
    ends = np.cumsum([values.shape[-1] for values in features]).tolist()
    logits = [
        _renamed(part.head, logit_name)(together[:, start:end])
        for part, (_, logit_name), (start, end) in zip(
            parts, part_names, pairwise([0, *ends]), strict=True
        )
    ]
    logit = keras.layers.Dense(1, dtype="float32", name=named_layers.LOGIT)
    x = logit(_side_by_side(logits, _PART_LOGITS))
    x = CalibratedScore(dtype="float32", name=named_layers.FAKE_PROBABILITY)(x)
    logit.set_weights([np.reshape(weights, (-1, 1)), np.array([bias])])
    return keras.Model(images, x, name=name)


def _part_names(number: int) -> tuple[str, str]:
    """The layers of a part: its extractor's name and its head's."""
    return f"part{number}_features", f"part{number}_logit"


def _renamed(model: keras.Model, name: str) -> keras.Model:
    """The same layers under a name that no other part has."""
    return keras.Model(model.inputs[0], model.outputs[0], name=name)


def _side_by_side(columns: list[keras.KerasTensor], name: str):
    # A concatenation even of one, so that there is a layer of that name.
    return keras.layers.Concatenate(dtype="float32", name=name)(columns)
