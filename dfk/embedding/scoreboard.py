"""How good several detectors are on the same images, and one against all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from dfk.evaluation.bootstrap import bootstrap
from dfk.evaluation.metrics import THRESHOLD
from dfk.evaluation.paired import weighted_auc
from dfk.models.calibration import fit_scaling
from dfk.models.features import Features
from dfk.training.selection import Selection, Team

NAMES = ("accuracy", "roc_auc")


def describe(
    details: Sequence[dict[str, Any]],
    selection: Selection,
    validation: Features,
    test: Features,
) -> dict[str, Any]:
    """Puts down what sources of logits and their combination are worth.

    Args:
        details: of each source, its `name` among them.
        selection: what was made of the sources on validation.
        validation: the sources' logits `[N, K]`, in place of features.
        test: likewise.

    Returns:
        `detectors`, a row each; `combination`, a row or None; the names of
        the `chosen` ones; and the numbers of `validation_images` and
        `test_images`. A row has its `details`, the `validation_loss` (held
        out) and `validation_auc`, and on `test` what `score` returns.
        The combination's names its `parts`, each with its share of the sum.

    Example:
        >>> describe(details, selection, validation, test)["chosen"]
        ['runs/facenet', 'runs/cnn']
    """
    probabilities = [
        _probabilities(team, validation, test) for team in selection.teams
    ]
    tested = score(test.labels, test.groups, np.stack(probabilities))
    rows = [
        {
            "validation_loss": team.loss,
            "validation_auc": float(
                roc_auc_score(validation.labels, team.held_out)
            ),
            "test": result,
        }
        for team, result in zip(selection.teams, tested, strict=True)
    ]
    names = [detail["name"] for detail in details]
    combination = None
    if selection.combination:
        parts = [names[number] for number in selection.combination.members]
        shares = selection.combination.stack.shares.tolist()
        combination = {
            "parts": dict(zip(parts, shares, strict=True)),
            **rows.pop(),
        }
    return {
        "detectors": [
            {**detail, **row} for detail, row in zip(details, rows, strict=True)
        ],
        "combination": combination,
        "chosen": [names[number] for number in selection.winner.members],
        "validation_images": len(validation.labels),
        "test_images": len(test.labels),
    }


def _probabilities(
    team: Team, validation: Features, test: Features
) -> np.ndarray:
    """Calibrated probabilities of fake of the test images, `[N]`."""
    temperature, bias = fit_scaling(team.held_out, validation.labels)
    return expit(team.logits(test.values) / temperature + bias)


def score(
    labels: np.ndarray,
    groups: np.ndarray,
    probabilities: np.ndarray,
    resamples: int = 1000,
) -> list[dict[str, Any]]:
    """Measures detectors, and by how much the last one is better than each.

    All are measured on the same resamples of the groups, so that what is hard
    for every detector drops out of their differences.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, images of one group stay together.
        probabilities: float `[K, N]`, the probabilities of fake by K
            detectors.
        resamples: how many resamples of the groups to draw.

    Returns:
        For each detector `accuracy` and `roc_auc`, and `gain_accuracy` and
        `gain_roc_auc`, what the last detector has more than it; each with
        `value`, and `low` and `high`, the ends of its 95 % interval.

    Example:
        >>> score(labels, groups, np.stack([facenet, combination]))[0]
        {'accuracy': {'value': 0.89, 'low': 0.85, 'high': 0.93}, ...}
    """
    right = (probabilities > THRESHOLD) == labels
    areas = weighted_auc(labels, probabilities)

    def statistics(weights: np.ndarray) -> dict[str, float | None]:
        return _named(right @ weights / weights.sum(), areas(weights))

    values = statistics(np.ones(len(labels)))
    intervals = bootstrap(statistics, groups, resamples)
    rows: list[dict[str, Any]] = [{} for _ in probabilities]
    for (number, name), value in values.items():
        low, high = intervals[number, name]
        rows[number][name] = {"value": value, "low": low, "high": high}
    return rows


def _named(accuracies: np.ndarray, areas: np.ndarray) -> dict:
    """Statistics by the detector's number and their name."""
    statistics = {}
    for name, values in zip(NAMES, (accuracies, areas), strict=True):
        # A resample without reals or fakes has no ROC curve.
        for number, value in enumerate(values):
            defined = bool(np.isfinite(value))
            gain = values[-1] - value
            statistics[number, name] = float(value) if defined else None
            statistics[number, f"gain_{name}"] = (
                float(gain) if defined else None
            )
    return statistics
