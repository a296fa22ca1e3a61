"""How many fakes are caught where few false alarms can be afforded."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dfk.evaluation.bootstrap import Interval, Statistics, bootstrap
from dfk.models.calibration import ALARM_RATES
from dfk.models.conformal import required_images

if TYPE_CHECKING:
    from dfk.models.calibration import Calibration


def operating_points(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    calibration: "Calibration",
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Measures the thresholds that a detector carries for false alarm rates.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float32 `[N]` in 0..1, the probabilities of fake.
        groups: `[N]`, images of one group stay together in the bootstrap.
        calibration: the detector's; validation chose its thresholds.
        seed: of the bootstrap.

    Returns:
        For each of `dfk.models.calibration.ALARM_RATES`: the `rate` asked for;
        the `threshold`, or None where validation has too few reals; `required`,
        how many it would need; and `false_alarms` and `recall`, the shares of
        these reals and fakes above the threshold, each with a 95 % interval.

    Example:
        >>> operating_points(labels, probabilities, groups, calibration)[1]
        {'rate': 0.05, 'threshold': 0.62, 'required': 19, 'false_alarms': ...}
    """
    points = []
    for rate, threshold in zip(ALARM_RATES, calibration.alarms, strict=True):
        known = calibration.images[0] >= required_images(rate)
        point = {
            "rate": rate,
            "threshold": threshold if known else None,
            "required": required_images(rate),
        }
        if known:
            called = probabilities > np.float32(threshold)
            point |= _shares(labels, called, groups, seed)
        points.append(point)
    return points


def _shares(
    labels: np.ndarray, called: np.ndarray, groups: np.ndarray, seed: int
) -> dict[str, Interval]:
    def shares(weights: np.ndarray) -> Statistics:
        reals, fakes = weights * (labels == 0), weights * (labels == 1)
        return {
            name: float(np.average(called, weights=chosen))
            if chosen.any()
            else None
            for name, chosen in (("false_alarms", reals), ("recall", fakes))
        }

    values = shares(np.ones(len(labels)))
    bounds = bootstrap(shares, groups, seed=seed)
    return {
        name: {"value": values[name], "low": low, "high": high}
        for name, (low, high) in bounds.items()
    }
