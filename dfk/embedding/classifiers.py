"""The classifiers that are fitted to features, and how each one is fitted.

Every one can be expressed in a detector's graph (`dfk.models.from_sklearn`).
Its settings are chosen by cross-validation on the training images, so that
validation is left for the choice between classifiers.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dfk.data.groups import groups_of_each_class
from dfk.errors import UserError
from dfk.models.features import Features, floored
from dfk.models.from_sklearn import vote_logits

FOLDS = 3
# Features of several stages are thousands, most of them nearly copies of each
# other; distances are cheaper, and less noisy, between principal components.
COMPONENTS = 256


class FlooredScaler(StandardScaler):
    """Standardises features by floored variances, as a detector's head does."""

    def fit(self, features, labels=None, sample_weight=None):
        """Fits mean and deviation."""
        super().fit(features, labels, sample_weight)
        self.scale_ = np.sqrt(floored(self.var_))
        return self


@dataclass(frozen=True)
class Kind:
    """A kind of classifier.

    Args:
        title: its name in words.
        estimator: the last step of the pipeline.
        grid: the settings to choose from, by name.
        scaled: whether features are standardised first.
        reduced: whether many features are reduced to `COMPONENTS`.
    """

    title: str
    estimator: BaseEstimator
    grid: dict[str, tuple]
    scaled: bool = True
    reduced: bool = False


KINDS = {
    # The strength of the L2 penalty is all there is to choose. From as strong
    # as thousands of features on hundreds of images need, to almost none.
    "logistic_regression": Kind(
        "logistic regression",
        LogisticRegression(max_iter=1000),
        {"C": (1e-3, 1e-2, 1e-1, 1.0)},
    ),
    # gamma="scale" makes the kernel as wide as the data. On the Kaggle subset
    # a third of it was within .002 of ROC AUC in cross-validation, and three
    # times as much .03 worse.
    "svm": Kind(
        "SVM, RBF kernel",
        SVC(gamma="scale", cache_size=500),
        {"C": (2.0, 8.0, 32.0)},
        reduced=True,
    ),
    # Few neighbours follow every image, many give a finer probability.
    "neighbors": Kind(
        "k nearest neighbours",
        KNeighborsClassifier(weights="distance", algorithm="brute"),
        {"n_neighbors": (5, 15, 45)},
        reduced=True,
    ),
    # Shallow trees, each on half the images and a few of the features:
    # what makes boosting affordable here also keeps it from overfitting
    # (Friedman, "Stochastic Gradient Boosting", 2002).
    "boosting": Kind(
        "gradient boosting",
        GradientBoostingClassifier(
            n_estimators=300,
            learning_rate=0.1,
            subsample=0.5,
            max_features="sqrt",
            random_state=0,
        ),
        {"max_depth": (2, 4)},
        scaled=False,
    ),
}


@dataclass(frozen=True)
class Classifier:
    """A kind of classifier, fitted on one kind of features.

    Args:
        kind: a key of `KINDS`.
        features: the name of the features.
        pipeline: fitted on all training images with the best settings.
        settings: which these are.
        cv_auc: their ROC AUC in cross-validation, the best of the grid.
    """

    kind: str
    features: str
    pipeline: Pipeline
    settings: dict[str, float]
    cv_auc: float

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Features `[N, D]` to uncalibrated logits of fake `[N, 1]`."""
        if self.kind != "neighbors":
            return self.pipeline.decision_function(values)[:, None]
        shares = self.pipeline.predict_proba(values)[:, 1:]
        return vote_logits(shares, self.pipeline[-1].n_neighbors)


def fit(
    kind: str, name: str, training: Features, memory: str | None = None
) -> Classifier:
    """Fits one kind of classifier, with settings chosen by cross-validation.

    Args:
        kind: a key of `KINDS`.
        name: the name of the features.
        training: features of the training images; images of one group
            stay in one fold.
        memory: a folder in which scalings and reductions are kept, for other
            settings and kinds that start with the same ones.

    Returns:
        The classifier with the highest ROC AUC in cross-validation.

    Raises:
        UserError: there are too few groups to hold any out.

    Example:
        >>> fit("svm", "embedding", features(network, split)).cv_auc
        0.87
    """
    labels, groups = training.labels, training.groups
    fewest = groups_of_each_class(labels, groups)
    if fewest < FOLDS:
        raise UserError(
            "Choosing a classifier's settings needs training pictures of at "
            f"least {FOLDS} groups of each class. Received: {fewest}."
        )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    search = GridSearchCV(
        _pipeline(KINDS[kind], training.values, memory),
        _grid(KINDS[kind], len(labels) // 2),
        scoring="roc_auc",
        cv=folds,
    ).fit(training.values, labels, groups=groups)
    settings = {
        key.partition("__")[2]: value
        for key, value in search.best_params_.items()
    }
    return Classifier(
        kind, name, search.best_estimator_, settings, float(search.best_score_)
    )


def _grid(kind: Kind, most: int) -> dict[str, list[float]]:
    """The settings to try; no more neighbours than a fold has images."""
    return {
        f"classifier__{name}": sorted(
            {
                min(value, most) if name == "n_neighbors" else value
                for value in values
            }
        )
        for name, values in kind.grid.items()
    }


def _pipeline(kind: Kind, values: np.ndarray, memory: str | None) -> Pipeline:
    steps = []
    if kind.scaled:
        steps.append(("scaler", FlooredScaler()))
    images, width = values.shape
    # A fold of the training images has fewer of them.
    components = min(COMPONENTS, images // 2)
    if kind.reduced and width > components:
        reduction = PCA(components, svd_solver="randomized", random_state=0)
        steps.append(("reduction", reduction))
    return Pipeline([*steps, ("classifier", kind.estimator)], memory=memory)
