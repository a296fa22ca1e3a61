"""How well what should not matter tells fake from real by itself."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dfk.auditing import verdicts
from dfk.auditing.encoding import Columns
from dfk.auditing.verdicts import Check
from dfk.evaluation.bootstrap import bootstrap

FOLDS = 5
# With fewer groups of a class the interval would span everything.
FEWEST = 20
THUMBNAIL = "8x8 thumbnail"

_COLUMNS_SHOWN = 6


@dataclass(frozen=True)
class Auc:
    """A ROC AUC with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def predictability(
    model: ClassifierMixin,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    seed: int = 0,
) -> Auc:
    """Cross-validates how well features tell fake from real.

    Each fold's scores come from a model of its own, so they are replaced by
    their ranks within the fold before they are put together; otherwise the
    models' differing base rates alone would push the AUC below .5.

    Args:
        model: a classifier of scikit-learn.
        features: float `[N, D]`.
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, images of one group stay in one fold.
        seed: the same seed gives the same folds and interval.

    Returns:
        The AUC over all images, with the interval by bootstrap over groups.

    Reference:
        Forman and Scholz, "Apples-to-apples in cross-validation studies",
        SIGKDD Explorations 12(1), 2010.

    Example:
        >>> predictability(LogisticRegression(), thumbnails, labels, groups)
        Auc(value=0.70, low=0.67, high=0.73)
    """
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    folds = list(splitter.split(features, labels, groups))
    # On so few columns threads gain nothing, and stall on a busy machine.
    with threadpool_limits(1):
        scores = cross_val_predict(
            model, features, labels, cv=folds, method="predict_proba"
        )[:, 1]
    for _, held_out in folds:
        scores[held_out] = rankdata(scores[held_out]) / len(held_out)
    _, ranks = np.unique(scores, return_inverse=True)
    bounds = bootstrap(
        lambda weights: {"auc": _weighted_auc(labels, ranks, weights)},
        groups,
        seed=seed,
    )
    return Auc(float(roc_auc_score(labels, scores)), *bounds["auc"])


def too_few(labels: np.ndarray, groups: np.ndarray) -> bool:
    """Whether there are too few images to cross-validate anything."""
    return any(
        len(np.unique(groups[labels == label])) < FEWEST for label in (0, 1)
    )


def check_encoding(
    signal: str, columns: Columns, labels: np.ndarray, groups: np.ndarray
) -> Check:
    """Checks one kind of thing that a file says about its writing.

    Args:
        signal: its name.
        columns: numbers or strings `[N]` by name.
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, the images' groups.

    Returns:
        The check; its numbers hold the AUC, and the most telling columns
        with what is typical of each class.
    """
    varied = {
        name: codes
        for name, values in columns.items()
        if np.ptp(codes := _codes(values)) > 0
    }
    if not varied:
        return Check(
            signal,
            verdicts.OK,
            "The same in every picture: no signal.",
            {"auc": asdict(Auc(0.5, 0.5, 0.5)), "columns": []},
        )
    # Leaves this small find a signal in a few dozen images too.
    model = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, min_samples_leaf=5, random_state=0
    )
    features = np.stack(list(varied.values()), axis=1)
    auc = predictability(model, features, labels, groups)
    verdict = verdicts.auc(auc.value, auc.low, verdicts.ENCODING_DANGER)
    telling = sorted(
        (_alone(name, columns[name], varied[name], labels) for name in varied),
        key=lambda column: -abs(column["auc"] - 0.5),
    )[:_COLUMNS_SHOWN]
    return Check(
        signal,
        verdict,
        _encoding_sentence(auc, verdict, telling[0]),
        {"auc": asdict(auc), "columns": telling},
    )


def check_thumbnail(
    thumbnails: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> Check:
    """Checks how far an 8 x 8 thumbnail alone gets.

    Args:
        thumbnails: uint8 `[N, 8, 8, 3]`.
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, the images' groups.
    """
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)
    )
    features = thumbnails.reshape(len(thumbnails), -1).astype(float)
    auc = predictability(model, features, labels, groups)
    verdict = verdicts.auc(auc.value, auc.low, verdicts.CONTENT_DANGER)
    meaning = {
        verdicts.OK: "coarse colours and framing do not tell them apart.",
        verdicts.LOOK: "coarse colours and framing differ, so a detector "
        "must do clearly better than this before it has learned more.",
        verdicts.DANGER: "coarse colours and framing nearly give the answer "
        "away, and a detector need not learn anything else.",
    }[verdict]
    return Check(
        THUMBNAIL,
        verdict,
        f"AUC {auc}: {meaning}",
        {"auc": asdict(auc)},
    )


def _encoding_sentence(auc: Auc, verdict: str, column: dict) -> str:
    if verdict == verdicts.OK:
        return f"AUC {auc}: does not tell fake from real."
    typical = f"{column['name']}, {column['real']} in real pictures and "
    typical += f"{column['fake']} in fake ones"
    if verdict == verdicts.LOOK:
        return f"AUC {auc}: differs a little, most of all {typical}."
    return (
        f"AUC {auc}: tells fake from real without a look at the face, most of "
        f"all {typical}; write all files the same way."
    )


def _codes(values: np.ndarray) -> np.ndarray:
    """Numbers as they are, with -1 for none; strings by their order."""
    if values.dtype.kind == "f":
        return np.nan_to_num(values, nan=-1.0)
    if values.dtype.kind in "biu":
        return values.astype(float)
    return np.unique(values, return_inverse=True)[1].astype(float)


def _alone(
    name: str, values: np.ndarray, codes: np.ndarray, labels: np.ndarray
) -> dict[str, str | float]:
    """How well one column orders the classes, and what is typical of each."""
    return {
        "name": name,
        "auc": float(roc_auc_score(labels, codes)),
        "real": _typical(values[labels == 0]),
        "fake": _typical(values[labels == 1]),
    }


def _typical(values: np.ndarray) -> str:
    """The median of numbers, the most frequent of strings."""
    if values.dtype.kind in "biuf":
        median = float(np.median(np.nan_to_num(values, nan=math.inf)))
        if not math.isfinite(median):
            return "none"
        return f"{median:,.0f}" if median >= 1000 else f"{median:.4g}"
    found, counts = np.unique(values, return_counts=True)
    return str(found[counts.argmax()]) or "none"


def _weighted_auc(
    labels: np.ndarray, ranks: np.ndarray, weights: np.ndarray
) -> float | None:
    """The AUC of images that count so many times, ties as half.

    `roc_auc_score` would give the same, but sort anew in each resample.
    """
    real = np.bincount(ranks, weights * (labels == 0))
    fake = np.bincount(ranks, weights * (labels == 1))
    pairs = real.sum() * fake.sum()
    if not pairs:
        return None
    return float(fake @ (real.cumsum() - real / 2) / pairs)
