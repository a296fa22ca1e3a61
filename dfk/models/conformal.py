"""Verdicts with an error-rate guarantee: split-conformal prediction."""

import math
from fractions import Fraction

import numpy as np
import tensorflow as tf

from dfk.errors import UserError
from dfk.images.decode import NOT_AN_IMAGE

ERROR_RATE = 0.05
# So many times the error rate may be called fake of the reals of one source.
WORST_SOURCE = 2
VERDICTS = ("real", "fake", "uncertain", "unreadable")

# The reasons why a verdict is `uncertain` or `unreadable`.
OUT_OF_DISTRIBUTION = "unlike the training pictures"
TOO_CLOSE = "too close to call"


def verdicts(
    probability: tf.Tensor, ood_score: tf.Tensor, limits: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Turns probabilities of fake into verdicts with reasons.

    Args:
        probability: float32 `[N]`; NaN stands for an unreadable image.
        ood_score: float32 `[N]`; above 1 is out of distribution.
        limits: float32 `[2]`, the `real_up_to` and `fake_down_to` of a
            `Calibration`.

    Returns:
        `verdict`, string `[N]`: `real`, `fake`, `uncertain` or `unreadable`;
        and `reason`, string `[N]`: why it is neither `real` nor `fake`, or
        empty.

    Example:
        >>> verdicts(tf.constant([0.9]), tf.constant([0.4]), limits)["verdict"]
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'fake'], ...)>
    """
    real, fake, uncertain, unreadable = VERDICTS
    can_be_real = probability <= limits[0]
    can_be_fake = probability >= limits[1]
    either = tf.where(can_be_real, real, fake)

    def choose(decided, too_close, out_of_distribution, not_an_image):
        one_only = tf.math.logical_xor(can_be_real, can_be_fake)
        chosen = tf.where(one_only, decided, too_close)
        chosen = tf.where(ood_score > 1, out_of_distribution, chosen)
        return tf.where(tf.math.is_nan(probability), not_an_image, chosen)

    return {
        "verdict": choose(either, uncertain, uncertain, unreadable),
        "reason": choose("", TOO_CLOSE, OUT_OF_DISTRIBUTION, NOT_AN_IMAGE),
    }


def conformal_limits(
    probabilities: np.ndarray,
    labels: np.ndarray,
    error_rate: float = ERROR_RATE,
    sources: np.ndarray | None = None,
) -> tuple[float, float]:
    """Finds between which probabilities the verdict must be `uncertain`.

    Class-conditional (Mondrian) split conformal prediction. Let t be the
    k-th smallest probability of fake among n real images of validation, k =
    ceil((n + 1) (1 - error_rate)). The probability of a new real image,
    exchangeable with them, exceeds t with a chance of at most the error rate.
    So `real` stays possible up to t, and `fake` likewise down to the k-th
    largest probability among the fakes. Where exactly one label is possible it
    is the verdict; where both or none are, the verdict is `uncertain`.

    The guarantee: on average at most `error_rate` of all real images are
    called fake, and at most as many of all fakes are called real. It holds for
    images like those of validation, if these were not used to train or choose
    the detector and are no near copies of each other.

    Of several sources, both limits are of all together, with equal weights. To
    accuse wrongly is the worse error, so that of the reals also holds for each
    source by itself that has enough images, at `WORST_SOURCE` times the error
    rate. (At the error rate itself, the hardest source would make half of all
    others uncertain.)

    Args:
        probabilities: float32 `[N]` in 0..1, probabilities of fake.
        labels: int `[N]`, 0 for real and 1 for fake.
        error_rate: the share of each class, in 0..1, that may get the wrong
            verdict.
        sources: `[N]`, which data set each image is of; one, if None.

    Returns:
        `real_up_to` and `fake_down_to`, exact in float32. A class of fewer
        than `required_images(error_rate)` images cannot be ruled out anywhere
        (1 for reals, 0 for fakes), so that the other is never a verdict.

    Raises:
        UserError: a class has no images.

    Reference:
        Angelopoulos and Bates, "A Gentle Introduction to Conformal
        Prediction", 2021, arXiv:2107.07511, section 4.2; Vovk,
        "Conditional Validity of Inductive Conformal Predictors", ACML 2012.

    Example:
        >>> conformal_limits(
        ...     np.float32([0.1, 0.2, 0.7, 0.4, 0.8, 0.9]),
        ...     np.array([0, 0, 0, 1, 1, 1]),
        ...     error_rate=0.25,
        ... )
        (0.699999988079071, 0.4000000059604645)
    """
    probabilities = np.asarray(probabilities, np.float32)
    labels = np.asarray(labels)
    is_real, is_fake = labels == 0, labels == 1
    require_both_classes(is_real.sum(), is_fake.sum())
    if sources is None:
        sources = np.zeros(len(labels), int)
    weights = balanced(labels, sources)
    real_up_to = upper_quantile(
        probabilities[is_real], error_rate, weights[is_real]
    )
    names, counts = np.unique(sources[is_real], return_counts=True)
    worst = min(WORST_SOURCE * error_rate, 0.5)
    for name in names[counts >= required_images(worst)]:
        of_source = probabilities[is_real & (sources == name)]
        if len(names) > 1:
            real_up_to = max(real_up_to, upper_quantile(of_source, worst))
    # Order statistics of the scores themselves: `1 - p` would round.
    fake_down_to = -upper_quantile(
        -probabilities[is_fake], error_rate, weights[is_fake]
    )
    return float(min(real_up_to, 1.0)), float(max(fake_down_to, 0.0))


def balanced(labels: np.ndarray, sources: np.ndarray | None) -> np.ndarray:
    """Weights by which all sources are equal within each label.

    Args:
        labels: int `[N]`.
        sources: `[N]`, which data set each image is of; one, if None.

    Returns:
        float64 `[N]`. The weights of a label have the mean 1, and all are 1 if
        there is one source.

    Example:
        >>> balanced(np.array([1, 1, 1, 1]), np.array(["a", "b", "b", "b"]))
        array([2.        , 0.66666667, 0.66666667, 0.66666667])
    """
    weights = np.ones(len(labels))
    if sources is None:
        return weights
    for label in np.unique(labels):
        own = labels == label
        _, of_each, counts = np.unique(
            sources[own], return_inverse=True, return_counts=True
        )
        weights[own] = own.sum() / len(counts) / counts[of_each]
    return weights


def upper_quantile(
    scores: np.ndarray, rate: float, weights: np.ndarray | None = None
) -> np.float32:
    """A limit that a new score exceeds with at most a given probability.

    Args:
        scores: float `[N]`, exchangeable with the new one.
        rate: the probability, in 0..1.
        weights: float `[N]` with the mean 1; all 1 if None. The new score is
            then of a source that is drawn first, all with equal chances.

    Returns:
        The k-th smallest score, k = ceil((N + 1) (1 - rate)); infinity with
        fewer than `required_images(rate)` scores.

    Raises:
        UserError: the rate is not between 0 and 1.

    Example:
        >>> upper_quantile(np.float32([3, 1, 2]), 0.25)
        np.float32(3.0)
    """
    k = rank(len(scores), rate)
    if k > len(scores):
        return np.float32(np.inf)
    if weights is None or np.all(weights == 1):
        return np.float32(np.partition(scores, k - 1)[k - 1])
    order = np.argsort(scores)
    # As many scores, weighted, as the rank would be without weights.
    place = np.searchsorted(np.cumsum(weights[order]), k - 1e-9)
    return np.float32(scores[order[min(place, len(scores) - 1)]])


def required_images(error_rate: float = ERROR_RATE) -> int:
    """How many validation images of each class verdicts need.

    Args:
        error_rate: the share of each class, in 0..1, that may get the wrong
            verdict.

    Returns:
        The smallest n with ceil((n + 1) (1 - error_rate)) <= n.

    Raises:
        UserError: the error rate is not between 0 and 1.

    Example:
        >>> required_images(0.05)
        19
    """
    return math.ceil(1 / _exact(error_rate)) - 1


def rank(count: int, rate: float) -> int:
    """Which of `count` sorted scores, from 1, is the limit for a rate."""
    return math.ceil((count + 1) * (1 - _exact(rate)))


def _exact(error_rate: float) -> Fraction:
    """0.05 as 1/20: a rounded product could miss the rank by one."""
    if not 0 < error_rate < 1:
        raise UserError(
            "An error rate lies between 0 and 1, 0.05 for 5 %. Received: "
            f"error_rate={error_rate}."
        )
    return Fraction(str(error_rate))


def require_both_classes(reals: int, fakes: int) -> None:
    """Refuses validation data that lack a class.

    Args:
        reals: how many real images there are.
        fakes: how many fake ones.

    Raises:
        UserError: there are none of one.
    """
    if not (reals and fakes):
        raise UserError(
            "Calibration needs validation images of both classes, but there "
            f"are {reals} real and {fakes} fake ones."
        )
