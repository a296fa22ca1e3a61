"""From a calibrated probability to a verdict with a reason."""

import tensorflow as tf

VERDICTS = ("real", "fake", "uncertain", "unreadable")

# Why a verdict is `uncertain` or `unreadable`.
UNFAMILIAR = "unlike the training pictures"
UNDECIDED = "too close to call"
NO_PICTURE = "not a picture that can be decoded"


def verdicts(
    probability: tf.Tensor, ood_score: tf.Tensor, limits: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Puts probabilities of fake into words.

    Args:
        probability: float32 `[N]`; NaN stands for an unreadable image.
        ood_score: float32 `[N]`; above 1 is unlike the training images.
        limits: float32 `[2]`, the `real_up_to` and `fake_down_to` of a
            `Calibration`.

    Returns:
        `verdict`, string `[N]`: `real`, `fake`, `uncertain` or `unreadable`;
        and `reason`, string `[N]`: why it is neither `real` nor `fake`, or
        empty.

    Example:
        >>> verdicts(tf.constant([0.9]), tf.constant([0.4]), limits)["verdict"]
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'fake'])>
    """
    real, fake, uncertain, unreadable = VERDICTS
    may_be_real = probability <= limits[0]
    may_be_fake = probability >= limits[1]
    either = tf.where(may_be_real, real, fake)

    def choose(decided, undecided, unfamiliar, lost):
        one_only = tf.math.logical_xor(may_be_real, may_be_fake)
        words = tf.where(one_only, decided, undecided)
        words = tf.where(ood_score > 1, unfamiliar, words)
        return tf.where(tf.math.is_nan(probability), lost, words)

    return {
        "verdict": choose(either, uncertain, uncertain, unreadable),
        "reason": choose("", UNDECIDED, UNFAMILIAR, NO_PICTURE),
    }
