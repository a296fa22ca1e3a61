"""Least squares on one-hot classes, and what it says of images left out."""

from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.linear_model import Ridge


class LeastSquares(NamedTuple):
    """A ridge regression of K classes.

    Args:
        kernel: float32 `[D, K]`.
        bias: float32 `[K]`.
    """

    kernel: np.ndarray
    bias: np.ndarray


def fit(
    values: np.ndarray,
    classes: np.ndarray,
    weights: np.ndarray | None,
    penalty: float,
) -> LeastSquares:
    """Fits each class's 1 for its own rows, and 0 for all others.

    Args:
        values: float32 `[N, D]`.
        classes: int `[N]`, in 0..K-1.
        weights: float `[N]` with the mean 1; None if all weigh the same.
        penalty: the strength of the L2 penalty a row.

    Returns:
        The regression.

    Reference:
        Rifkin et al., "Regularized Least-Squares Classification", 2003.

    Example:
        >>> fit(values, np.array([0, 1, 1]), None, penalty=0.4).bias.shape
        (2,)
    """
    # Solved among the rows where there are fewer of them than of features.
    ridge = Ridge(alpha=penalty * len(values), solver="cholesky")
    ridge.fit(values, _one_hot(classes), weights)
    return LeastSquares(ridge.coef_.T, ridge.intercept_)


def leave_groups_out(
    values: np.ndarray,
    classes: np.ndarray,
    weights: np.ndarray | None,
    penalty: float,
    groups: np.ndarray,
) -> np.ndarray:
    """What the regressions of `fit` without one group say of that group.

    For each group as if it were fitted again, with the same penalty. Of least
    squares that takes a single matrix: without a group the residuals of its
    rows become `(I - H)^-1` times what they are, where H is the block of the
    hat matrix that belongs to the group.

    Args:
        values: as for `fit`.
        classes: as for `fit`.
        weights: as for `fit`.
        penalty: as for `fit`.
        groups: `[N]`, which group each row is of.

    Returns:
        float32 `[N, K]`: for each row, the classes' values.

    Reference:
        Cook & Weisberg, "Residuals and Influence in Regression", 1982.

    Example:
        >>> leave_groups_out(values, classes, None, 0.4, groups).shape
        (9193, 8)
    """
    count = len(values)
    if weights is None:
        weights = np.ones(count)
    targets = _one_hot(classes)
    center = np.average(targets, axis=0, weights=weights)
    root = np.sqrt(weights).astype("float32")[:, None]
    x = (values - np.average(values, axis=0, weights=weights)) * root
    x = x.astype("float32", copy=False)
    # Residuals are this matrix times the targets, but for roots of weights.
    inverse = x @ x.T
    inverse[np.diag_indices(count)] += penalty * count
    inverse = (
        penalty
        * count
        * linalg.inv(
            inverse, overwrite_a=True, check_finite=False, assume_a="pos"
        )
    )
    residuals = inverse @ ((targets - center) * root) / root
    found = np.empty_like(targets)
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    for rows in np.split(order, starts[1:]):
        block = inverse[np.ix_(rows, rows)] * root[rows].T / root[rows]
        # The mean of all targets, too, is without the group.
        block -= weights[rows] / weights.sum()
        found[rows] = targets[rows] - np.linalg.solve(block, residuals[rows])
    return found


def _one_hot(classes: np.ndarray) -> np.ndarray:
    return np.eye(classes.max() + 1, dtype="float32")[classes]
