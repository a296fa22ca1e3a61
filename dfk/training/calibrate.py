"""The last step of a training: scores become probabilities and verdicts."""

from collections.abc import Sequence

import keras
import numpy as np

from dfk import models
from dfk.models import calibration, out_of_distribution
from dfk.models.features import backbone_features
from dfk.training.head_fit import (
    KnownSource,
    left_out_logits,
    within_memory,
)
from dfk.training.plan import Plan


def calibrate(
    model: keras.Model, plan: Plan, logits: np.ndarray, labels: np.ndarray
) -> None:
    """Fits scaling, verdict limits and out-of-distribution score.

    Without what was made of the training images: a score is the probability of
    fakes such as the data sets'.

    Args:
        model: a trained detector.
        plan: what it was trained on, and how.
        logits: float32 `[N]`, its raw logits of the validation images, one data
            set after the other.
        labels: int `[N]`, 0 for real and 1 for fake.

    Raises:
        UserError: a class has no images.

    Example:
        >>> calibrate(model, plan, *validate.logits_and_labels())
    """
    count = len(plan.validations)
    if plan.stays_frozen:
        splits = within_memory(model, plan.sources)
        known = [
            KnownSource(
                each.family, backbone_features(model, split), each.weight
            )
            for each, split in zip(plan.sources, splits, strict=True)
        ]
        validation = [
            KnownSource(each.family, backbone_features(model, split))
            for each, split in zip(plan.sources, plan.validations, strict=False)
        ]
        calibrate_head(
            model, known[:count], known[count:], validation, plan.detector
        )
        return
    sizes = [split.size for split in plan.validations]
    models.score_layer(model).calibration = calibration.fit(
        logits, labels, sources=np.repeat(np.arange(count), sizes)
    )
    share = out_of_distribution.TRAINING_IMAGES // count
    training = [source.split.first(share) for source in plan.sources[:count]]
    of_training, of_validation = (
        [backbone_features(model, each, keep=False).mean for each in splits]
        for splits in (training, plan.validations)
    )
    out_of_distribution.fit(
        model,
        np.concatenate(of_training),
        of_validation,
        ood_rate(plan.detector, count),
    )


def calibrate_head(
    model: keras.Model,
    training: Sequence[KnownSource],
    made: Sequence[KnownSource],
    validation: Sequence[KnownSource],
    detector: models.Detector,
) -> None:
    """Fits scaling, verdict limits and out-of-distribution score of a head.

    Scaling and limits are fitted to validation and, where `left_out_logits`
    knows them, to the training images, each scored by a head without it. Limits
    need many images: of 24 a twentieth is one. Scores of that kind are not
    quite exchangeable with those of new images (the head that answers was shown
    a few images more), so the guarantee of error rates is nearly, not exactly,
    that of split-conformal prediction.

    Args:
        model: a detector or its head alone, after `fit_to_features`.
        training: the images that it was fitted to, as they are.
        made: what of them it was fitted to as well, such as self-blends. A
            score is the probability of fakes such as the data sets', so scaling
            and limits do without; but they are not out of distribution.
        validation: images that it was not fitted to. Sources of one family
            name are one data set.
        detector: has the recipe, and the rate of the out-of-distribution score.

    Raises:
        UserError: a class has no images.

    Reference:
        Barber et al., "Predictive Inference with the Jackknife+", Annals of
        Statistics 2021.

    Example:
        >>> calibrate_head(model, [faces], [], [others], models.get("clip"))
    """
    fitted = [*training, *made]
    of_training = np.concatenate([each.features.mean for each in fitted])
    of_validation = [each.features.mean for each in validation]
    head = models.logit_head(model)
    logits = [head(values).numpy()[:, 0] for values in of_validation]
    scored = list(validation)
    if found := left_out_logits(model, fitted, detector.recipe):
        logits += found[: len(training)]
        scored += training
    labels = [each.features.labels for each in scored]
    families = [each.family for each in scored]
    models.score_layer(model).calibration = calibration.fit(
        np.concatenate(logits),
        np.concatenate(labels),
        sources=np.repeat(families, list(map(len, labels))),
    )
    rate = ood_rate(detector, len({each.family for each in validation}))
    out_of_distribution.fit(model, of_training, of_validation, rate)


def ood_rate(detector: models.Detector, data_sets: int) -> float:
    """The share of usual images that may be out of distribution.

    A detector of several data sets pays for a higher rate with photographs that
    it could have answered, and gains hardly a fake of a family that it was not
    shown; see benchmarks/recipes.md.
    """
    if data_sets > 1:
        return out_of_distribution.RATE
    return detector.ood_rate
