"""Fits what tells a detector that a picture is none it knows about."""

import dataclasses

import keras
import numpy as np

from dfk.data import FaceSplit
from dfk.evaluation.conformal import upper_quantile
from dfk.evaluation.features import compute
from dfk.models import embedder, novelty_gauge
from dfk.models.novelty import DIRECTIONS

# Ten for each direction that the gauge knows; more change little and cost the
# backbone's time.
PICTURES = 10 * DIRECTIONS
# Of pictures like those of validation, so many may be called novel.
RATE = 0.01


def fit(
    detector: keras.Model, training: FaceSplit, validation: FaceSplit
) -> None:
    """Fits a detector's `NoveltyGauge`.

    Its limit is the distance that a picture like those of validation exceeds
    with a chance of at most `RATE`. With fewer than
    `dfk.evaluation.conformal.needed(RATE)` of them there is no such limit,
    and nothing is ever called novel.

    Args:
        detector: trained.
        training: what it was trained on.
        validation: what it was not trained on.

    Example:
        >>> fit(detector, faces.splits["train"], faces.splits["validation"])
    """
    network, gauge = embedder(detector), novelty_gauge(detector)
    few = min(training.size, PICTURES)
    known = dataclasses.replace(
        training, size=few, examples=training.examples.take(few)
    )
    gauge.fit(compute(network, known).values)
    distances = gauge.distance(compute(network, validation).values)
    gauge.limit.assign(upper_quantile(np.asarray(distances), RATE))
