"""How well signals that should not matter tell fake from real."""

import math

import numpy as np
from scipy.stats import rankdata
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dfk.auditing.checks import (
    CONTENT_DANGER,
    DANGER,
    ENCODING_DANGER,
    OK,
    WARNING,
    Check,
    auc_verdict,
)
from dfk.auditing.encoding import Columns
from dfk.data.groups import groups_of_each_class
from dfk.evaluation.statistics import (
    SEED,
    Statistics,
    estimates,
    weighted_auc,
)

FOLDS = 5
# With fewer groups of a class the interval would be too wide to say anything.
FEWEST = 20
THUMBNAIL = "8x8 thumbnail"

_COLUMNS_SHOWN = 6


def predictability(
    model: ClassifierMixin,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
) -> Statistics:
    """Cross-validates how well features tell fake from real.

    Each fold's scores come from a different model. They are replaced by their
    ranks within the fold before they are put together; otherwise the models'
    different base rates would push the AUC below 0.5.

    Args:
        model: a classifier of scikit-learn.
        features: float `[N, D]`.
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, images of one group stay in one fold.

    Returns:
        The `value` of the AUC over all images, and the ends `low` and `high`
        of its 95 % interval by bootstrap over groups.

    Reference:
        Forman and Scholz, "Apples-to-apples in cross-validation studies",
        SIGKDD Explorations 12(1), 2010.

    Example:
        >>> predictability(LogisticRegression(), thumbnails, labels, groups)
        {'value': 0.70, 'low': 0.67, 'high': 0.73}
    """
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    folds = list(splitter.split(features, labels, groups))
    # With so few columns threads gain nothing, and stall on a busy machine.
    with threadpool_limits(1):
        scores = cross_val_predict(
            model, features, labels, cv=folds, method="predict_proba"
        )[:, 1]
    for _, held_out in folds:
        scores[held_out] = rankdata(scores[held_out]) / len(held_out)
    areas = weighted_auc(labels, scores[None])

    def auc(weights: np.ndarray) -> Statistics:
        return {"auc": float(areas(weights)[0])}

    return estimates(auc(np.ones(len(labels))), auc, groups)["auc"]


def too_few(labels: np.ndarray, groups: np.ndarray) -> bool:
    """Whether there are too few images to cross-validate a signal."""
    return groups_of_each_class(labels, groups) < FEWEST


def check_encoding(
    signal: str, columns: Columns, labels: np.ndarray, groups: np.ndarray
) -> Check:
    """Checks one signal of how the files were written.

    Args:
        signal: its name, one of `encoding.SIGNALS`.
        columns: numbers or strings `[N]` by name.
        labels: int `[N]`, 0 for real and 1 for fake.
        groups: `[N]`, the images' groups.

    Returns:
        The check; its numbers hold the AUC, and the columns that separate the
        classes best, with what is typical of each class.
    """
    varied = {
        name: codes
        for name, values in columns.items()
        if np.ptp(codes := _codes(values)) > 0
    }
    if not varied:
        return Check(
            signal,
            OK,
            "The same in every picture: no signal.",
            {"auc": {"value": 0.5, "low": 0.5, "high": 0.5}, "columns": []},
        )
    # With leaves this small a few dozen images are enough to find a signal.
    model = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, min_samples_leaf=5, random_state=0
    )
    features = np.stack(list(varied.values()), axis=1)
    auc = predictability(model, features, labels, groups)
    verdict = auc_verdict(auc, ENCODING_DANGER)
    names = list(varied)
    aucs = weighted_auc(labels, features.T)(np.ones(len(labels)))
    clearest = np.argsort(-np.abs(aucs - 0.5), kind="stable")
    best = [
        {
            "name": names[index],
            "auc": float(aucs[index]),
            "real": _typical(columns[names[index]][labels == 0]),
            "fake": _typical(columns[names[index]][labels == 1]),
        }
        for index in clearest[:_COLUMNS_SHOWN]
    ]
    return Check(
        signal,
        verdict,
        _encoding_sentence(auc, verdict, best[0]),
        {"auc": auc, "columns": best},
    )


def check_thumbnail(
    thumbnails: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> Check:
    """Checks how well an 8 x 8 thumbnail tells fake from real.

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
    verdict = auc_verdict(auc, CONTENT_DANGER)
    meaning = {
        OK: "coarse colours and framing do not tell them apart.",
        WARNING: "coarse colours and framing differ, so a detector must do "
        "clearly better than this before it has learned more.",
        DANGER: "coarse colours and framing nearly give the answer away, and a "
        "detector need not learn anything else.",
    }[verdict]
    return Check(
        THUMBNAIL,
        verdict,
        f"{_auc(auc)}: {meaning}",
        {"auc": auc},
    )


def _auc(auc: Statistics) -> str:
    return "AUC {value:.2f} ({low:.2f} to {high:.2f})".format(**auc)


def _encoding_sentence(auc: Statistics, verdict: str, column: dict) -> str:
    if verdict == OK:
        return f"{_auc(auc)}: does not tell fake from real."
    typical = f"{column['name']}, {column['real']} in real pictures and "
    typical += f"{column['fake']} in fake ones"
    if verdict == WARNING:
        return f"{_auc(auc)}: differs a little, most of all {typical}."
    return (
        f"{_auc(auc)}: tells fake from real without the face, most of all "
        f"{typical}; write all files the same way."
    )


def _codes(values: np.ndarray) -> np.ndarray:
    """Numbers as they are, with -1 for none; strings by alphabetical order."""
    if values.dtype.kind == "f":
        return np.nan_to_num(values, nan=-1.0)
    if values.dtype.kind in "biu":
        return values.astype(float)
    return np.unique(values, return_inverse=True)[1].astype(float)


def _typical(values: np.ndarray) -> str:
    """The median of numbers, or the most frequent string."""
    if values.dtype.kind in "biuf":
        median = float(np.median(np.nan_to_num(values, nan=math.inf)))
        if not math.isfinite(median):
            return "none"
        return f"{median:,.0f}" if median >= 1000 else f"{median:.4g}"
    found, counts = np.unique(values, return_counts=True)
    return str(found[counts.argmax()]) or "none"
