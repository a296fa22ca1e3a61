import numpy as np
import pytest

from dfk.evaluation.guarantees import operating_points
from dfk.models import Calibration

LABELS = np.array([0] * 10 + [1] * 10)
SCORES = np.linspace(0, 0.95, 20).astype(np.float32)


def points(alarms, reals=99):
    """Those of 1, 5 and 10 %."""
    tight, middle, loose = alarms
    carried = (1.0, 1.0, 1.0, tight, 0.5, middle, loose)
    calibration = Calibration(alarms=carried, images=(reals, 99))
    found = operating_points(LABELS, SCORES, np.arange(20), calibration)
    return found[3], found[5], found[6]


def test_what_lies_above_a_threshold_is_counted():
    tight, middle, loose = points((0.7, 0.45, 0.2))
    assert [p["rate"] for p in (tight, middle, loose)] == [0.01, 0.05, 0.1]
    assert tight["recall"]["value"] == pytest.approx(0.5)
    assert tight["false_alarms"]["value"] == 0
    assert middle["recall"]["value"] == 1.0
    assert loose["false_alarms"]["value"] == pytest.approx(0.5)
    assert loose["false_alarms"]["low"] < 0.5 < loose["false_alarms"]["high"]


def test_a_rate_that_validation_cannot_guarantee_has_no_threshold():
    tight, middle, _ = points((1.0, 0.45, 0.2), reals=50)
    assert tight == {"rate": 0.01, "threshold": None, "required": 99}
    assert middle["threshold"] == 0.45


def test_without_reals_there_are_no_false_alarms_to_count():
    calibration = Calibration(alarms=(0.7,) * 7, images=(9999, 99))
    rows = operating_points(
        LABELS[10:], SCORES[10:], np.arange(10), calibration
    )
    assert rows[0]["false_alarms"]["value"] is None
    assert rows[0]["recall"]["value"] == pytest.approx(0.5)
