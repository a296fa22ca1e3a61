"""The rows of a comparison: runs that differ only in their seed are one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfk.data import names
from dfk.errors import UserError
from dfk.evaluation.records import Scores
from dfk.runs import BUILT_IN, flat

FROZEN = "frozen features"

# What decides nothing about a detector, and what makes it another repeat.
_NO_SETTINGS = ("format", "model", "manual_dir", "seed", "plan", "licence")
# What means nothing to a run that trains no backbone.
_TUNING = ("unfreeze", "epochs", "batch_size", "accumulate", "learning_rate")


@dataclass(frozen=True)
class ScoredRun:
    """A run and its scores.

    Args:
        path: the run's folder.
        config: what the run was started with.
        training: what `results.json` tells about the training.
        metrics: the record's metrics, each with `value`, `low` and `high`.
        scores: in the order of the images' ids.
    """

    path: Path
    config: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    scores: Scores


@dataclass(frozen=True)
class Row:
    """Runs that differ only in their seed.

    Args:
        detector: its name.
        settings: a phrase that says what sets it apart from other rows of
            the same detector; empty if nothing does.
        runs: at least one.
    """

    detector: str
    settings: str
    runs: list[ScoredRun]

    @property
    def label(self) -> str:
        """The detector with what sets it apart."""
        return self.detector + (f" ({self.settings})" if self.settings else "")

    def values(self, metric: str) -> list[float]:
        """A metric of `dfk.evaluation.metrics.TITLES`, for each run."""
        return [run.metrics[metric]["value"] for run in self.runs]


def make_rows(scored: Sequence[ScoredRun]) -> list[Row]:
    """Makes a row of each detector's repeats.

    Args:
        scored: runs, on the same images.

    Returns:
        The rows, the best mean ROC AUC first.

    Raises:
        UserError: two runs are the same training, seed included.

    Example:
        >>> [row.label for row in make_rows(scored)]
        ['facenet', 'cnn (limit 350)', 'cnn (limit 700)']
    """
    repeats: dict[str, list[ScoredRun]] = {}
    for run in scored:
        shared = [_detector(run.config), _settings(run.config)]
        key = json.dumps(shared, sort_keys=True)
        repeats.setdefault(key, []).append(run)
    configs = [group[0].config for group in repeats.values()]
    rows = []
    for group, config in zip(repeats.values(), configs, strict=True):
        _require_other_seeds(group)
        settings = describe(config, configs)
        rows.append(Row(_detector(config), settings, group))
    return sorted(rows, key=lambda row: -np.mean(row.values("roc_auc")))


def _require_other_seeds(repeats: list[ScoredRun]) -> None:
    known: dict[int, ScoredRun] = {}
    for run in repeats:
        other = known.setdefault(run.config.get("seed"), run)
        if other is not run:
            raise UserError(
                f"{other.path} and {run.path} are the same training, seed "
                "included: pass only one of them."
            )


def describe(config: dict[str, Any], configs: list[dict[str, Any]]) -> str:
    """Says what sets a run apart from others of the same detector.

    Args:
        config: of the run.
        configs: of all runs.

    Returns:
        The settings whose values differ, and `FROZEN` for a run that trained
        no backbone.

    Example:
        >>> full = {"model": "cnn", "limit": None}
        >>> few = {"model": "cnn", "limit": 350}
        >>> describe(few, [full, few])
        'limit 350'
    """
    phrases = [] if _trains_backbone(config) else [FROZEN]
    alike = [c for c in configs if _detector(c) == _detector(config)]
    tuned = [c for c in alike if _trains_backbone(c)]
    for name, value in _settings(config).items():
        is_tuning = name in _TUNING or name.startswith("recipe ")
        others = tuned if is_tuning else alike
        known = [_settings(other).get(name) for other in others]
        if value is not None and any(other != value for other in known):
            phrases.append(_phrase(name, value))
    return ", ".join(phrases)


def _detector(config: dict[str, Any]) -> str:
    # Only what `built_in.as_run` wrote has a `head`.
    return BUILT_IN if "head" in config else config["model"]


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """All that decides how good a detector gets, except the seed."""
    tunes = _trains_backbone(config)
    ignored = {*_NO_SETTINGS, "recipe", *(() if tunes else _TUNING)}
    settings = {
        name: value for name, value in config.items() if name not in ignored
    }
    # Versions of dfk may have changed the recipe between two runs.
    recipe = flat(config.get("recipe", {})) if tunes else {}
    return settings | {f"recipe {name}": v for name, v in recipe.items()}


def _trains_backbone(config: dict[str, Any]) -> bool:
    return config.get("unfreeze") != "none"


def _phrase(name: str, value: Any) -> str:
    if name == "data_dir":
        return f"trained on {names.short(value)}"
    if name == "dataset":
        return f"trained on {value}"
    return f"{name.replace('_', ' ')} {value}"
