"""Whether the verdicts' error-rate guarantee holds on other images."""

from typing import Any

import numpy as np
from scipy import stats

from dfk.models import Calibration
from dfk.models.conformal import rank, required_images


def coverage(
    labels: np.ndarray, probabilities: np.ndarray, calibration: Calibration
) -> dict[str, dict[str, Any]]:
    """Counts how often the label set of a verdict holds the true label.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float32 `[N]` in 0..1, the probabilities of fake.
        calibration: the detector's.

    Returns:
        For `real` and `fake`: the number of `images`; the share `covered`,
        None without images; `promised`, the share that validation promises,
        or None where its class is too small for a promise; and, of a promise
        that there are images to try on, `low` and `high`, between which the
        share lies with a probability of 95 % if these images are like those
        of validation: the numbers of both decide how far chance alone may
        carry it (Angelopoulos & Bates 2021, section 3.2 and appendix C: the
        beta-binomial distribution).

    Example:
        >>> coverage(labels, probabilities, calibration)["real"]
        {'images': 150, 'covered': 0.96, 'promised': 0.95, 'low': 0.86, ...}
    """
    held = {
        "real": probabilities <= np.float32(calibration.real_up_to),
        "fake": probabilities >= np.float32(calibration.fake_down_to),
    }
    rows = {}
    for label, (name, covered) in enumerate(held.items()):
        known, error_rate = calibration.images[label], calibration.error_rate
        images = int(np.sum(labels == label))
        row = {
            "images": images,
            "covered": None,
            "promised": None,
            "low": None,
            "high": None,
        }
        if images:
            row["covered"] = float(np.mean(covered[labels == label]))
        if known >= required_images(error_rate):
            row["promised"] = 1 - error_rate
        if images and row["promised"]:
            k = rank(known, error_rate)
            chance = stats.betabinom(images, k, known + 1 - k)
            low, high = chance.ppf([0.025, 0.975]) / images
            row |= {"low": float(low), "high": float(high)}
        rows[name] = row
    return rows
