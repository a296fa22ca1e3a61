"""Whether what validation guarantees holds on other images.

A detector carries thresholds that were fitted on validation data: the limits
of its verdicts, which keep to an error rate in each class, and thresholds for
low rates of false alarms.
"""

from typing import Any

import numpy as np
from scipy import stats

from dfk.evaluation.metrics import share
from dfk.evaluation.statistics import Statistics, estimates
from dfk.models import Calibration
from dfk.models.calibration import ALARM_RATES
from dfk.models.conformal import rank, required_images


def coverage(
    labels: np.ndarray, probabilities: np.ndarray, calibration: Calibration
) -> dict[str, dict[str, Any]]:
    """Measures how often the true label is among those a verdict allows.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float32 `[N]` in 0..1, the probabilities of fake.
        calibration: the detector's.

    Returns:
        For `real` and `fake`: the number of `images`; `required`, how many
        validation images of the class a guarantee needs; the share `covered`,
        None without images; `guaranteed`, the share that validation
        guarantees, None if it has fewer images than required; and `low` and
        `high`, None without a guarantee or images. If these images are like
        those of validation, the share lies between the two with a probability
        of 95 %, given both numbers of images (Angelopoulos & Bates 2021,
        section 3.2 and appendix C: the beta-binomial distribution).

    Example:
        >>> coverage(labels, probabilities, calibration)["real"]
        {'images': 150, 'required': 19, 'covered': 0.96, ...}
    """
    covered = {
        "real": probabilities <= np.float32(calibration.real_up_to),
        "fake": probabilities >= np.float32(calibration.fake_down_to),
    }
    error_rate = calibration.error_rate
    required = required_images(error_rate)
    rows = {}
    for label, name in enumerate(covered):
        known = calibration.images[label]
        inside = covered[name][labels == label]
        row = dict.fromkeys(("covered", "guaranteed", "low", "high"))
        if len(inside):
            row["covered"] = float(np.mean(inside))
        if known >= required:
            row["guaranteed"] = 1 - error_rate
        if len(inside) and row["guaranteed"]:
            k = rank(known, error_rate)
            chance = stats.betabinom(len(inside), k, known + 1 - k)
            limits = chance.ppf([0.025, 0.975]) / len(inside)
            row["low"], row["high"] = limits.tolist()
        rows[name] = {"images": len(inside), "required": required, **row}
    return rows


def operating_points(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    calibration: Calibration,
) -> list[dict[str, Any]]:
    """Measures the thresholds that a detector carries for false alarm rates.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float32 `[N]` in 0..1, the probabilities of fake.
        groups: `[N]`, images of one group stay together in the bootstrap.
        calibration: the detector's; validation chose its thresholds.

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
        required = required_images(rate)
        point = {"rate": rate, "threshold": None, "required": required}
        if calibration.images[0] >= required:
            above = probabilities > np.float32(threshold)
            point["threshold"] = threshold

            def shares(weights: np.ndarray, above=above) -> Statistics:
                return {
                    "false_alarms": share(above, weights * (labels == 0)),
                    "recall": share(above, weights * (labels == 1)),
                }

            values = shares(np.ones(len(labels)))
            point |= estimates(values, shares, groups)
        points.append(point)
    return points
