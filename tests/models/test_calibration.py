import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dfk.errors import UserError
from dfk.models import calibration
from dfk.models.calibration import CalibratedScore, Calibration
from dfk.models.conformal import verdicts
from dfk.models.scaling import fit_scaling


def test_the_calibration_divides_the_logit():
    layer = CalibratedScore(dtype="float32")
    layer.build((None, 1))
    layer.calibration = Calibration(temperature=2.0)
    np.testing.assert_allclose(
        layer(tf.constant([[3.0]])), 1 / (1 + np.exp(-1.5)), rtol=1e-6
    )


def test_fit_gives_what_the_layer_of_a_detector_needs():
    generator = np.random.default_rng(5)
    labels = np.arange(400) % 2
    logits = 6 * (labels - 0.5) + 3 * generator.normal(size=400)
    layer = CalibratedScore()
    layer.build((None, 1))
    layer.calibration = calibration.fit(logits[:, None], labels)

    fitted = layer.calibration
    assert (fitted.temperature, fitted.bias) == pytest.approx(
        fit_scaling(logits, labels)
    )
    assert (fitted.error_rate, fitted.images) == (0.05, (200, 200))
    scores = layer(logits[:, None].astype(np.float32))[:, 0]
    found = verdicts(scores, tf.zeros(400), layer.limits)["verdict"]
    found = found.numpy().astype(str)
    # 200 images: k = ceil(201 * .95) = 191 of each class are not ruled out.
    assert np.sum(found[labels == 0] == "fake") == 9
    assert np.sum(found[labels == 1] == "real") == 9
    # And of the reals, k = 200, 199, 197, 191 and 181 raise no alarm at .5, 1,
    # 2, 5 and 10 %; for less they are too few.
    reals = np.asarray(scores)[labels == 0]
    alarms = [np.sum(reals > np.float32(a)) for a in fitted.alarms]
    assert alarms == [0, 0, 0, 1, 3, 9, 19]
    assert fitted.alarms[:2] == (1.0, 1.0)


def test_alarms_that_validation_cannot_guarantee_are_never_raised():
    labels = np.arange(60) % 2
    fitted = calibration.fit(4.0 * labels - 2 + np.linspace(0, 1, 60), labels)
    # 30 reals, and a rate of 5 % takes 19.
    assert fitted.alarms[:5] == (1.0,) * 5
    assert max(fitted.alarms[5:]) < 1.0


def test_false_alarms_are_limited_to_what_validation_can_say():
    fitted = Calibration(
        alarms=(1.0, 1.0, 1.0, 0.9, 0.8, 0.7, 0.6), images=(150, 150)
    )
    moved = calibration.with_false_alarms(fitted, 0.01)
    assert moved == dataclasses.replace(fitted, real_up_to=0.9)
    # Between two points, the one that promises more.
    assert calibration.with_false_alarms(fitted, 0.04).real_up_to == 0.8
    with pytest.raises(UserError, match=r"150 real .* takes 199: pass 1\.0%"):
        calibration.with_false_alarms(fitted, 0.005)
    # The detector's own limit may be stricter, up to its error rate.
    strict = dataclasses.replace(fitted, real_up_to=0.95)
    assert calibration.with_false_alarms(strict, 0.05) == strict
    assert calibration.with_false_alarms(strict, 0.1).real_up_to == 0.6
    none = Calibration(images=(5, 5))
    with pytest.raises(UserError, match="leave it out"):
        calibration.with_false_alarms(none, 0.1)


@pytest.mark.parametrize("rate", [0.0005, 0.2])
def test_a_rate_that_no_detector_carries_is_refused(rate):
    with pytest.raises(UserError, match=r"between 0\.1% and 10%"):
        calibration.with_false_alarms(Calibration(images=(9999, 9999)), rate)
