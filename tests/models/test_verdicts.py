import numpy as np
import tensorflow as tf

from dfk import models
from dfk.models.calibration import CalibratedScore


def words(probabilities, limits, ood_score=None):
    ood_score = ood_score or [0.0] * len(probabilities)
    got = models.verdicts(
        tf.constant(probabilities), tf.constant(ood_score), tf.constant(limits)
    )
    return [
        (verdict.decode(), reason.decode())
        for verdict, reason in zip(
            got["verdict"].numpy(), got["reason"].numpy(), strict=True
        )
    ]


CLOSE = ("uncertain", "too close to call")


def test_the_calibration_divides_the_logit():
    layer = CalibratedScore(dtype="float32")
    layer.build((None, 1))
    layer.calibration = models.Calibration(temperature=2.0)
    np.testing.assert_allclose(
        layer(tf.constant([[3.0]])), 1 / (1 + np.exp(-1.5)), rtol=1e-6
    )


def test_what_both_could_be_is_uncertain():
    got = words([0.2, 0.25, 0.5, 0.75, 0.8], [0.75, 0.25])
    assert got == [("real", ""), CLOSE, CLOSE, CLOSE, ("fake", "")]


def test_what_neither_could_be_is_uncertain():
    got = words([0.25, 0.5, 0.75], [0.25, 0.75])
    assert got == [("real", ""), CLOSE, ("fake", "")]


def test_limits_that_rule_nothing_out_leave_all_uncertain():
    assert words([0.0, 0.5, 1.0], [1.0, 0.0]) == [CLOSE] * 3


def test_the_unfamiliar_and_the_unreadable_say_so():
    got = words([0.9, 0.9, np.nan], [0.7, 0.3], [1.0, 1.01, 5.0])
    assert got == [
        ("fake", ""),
        ("uncertain", "unlike the training pictures"),
        ("unreadable", "not a picture that can be decoded"),
    ]


def test_the_uncertain_range_is_ordered():
    assert models.Calibration(1, 0, 0.7, 0.3).uncertain == (0.3, 0.7)
    assert models.Calibration(1, 0, 0.3, 0.7).uncertain == (0.3, 0.7)
