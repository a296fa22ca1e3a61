"""Whether a probability means what it says: of 0.8s, eight in ten are fake."""

import numpy as np

BINS = 15


def reliability_bins(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> dict[str, np.ndarray]:
    """Puts images with like scores together, as many into each bin.

    Bins of equal width would leave most of them empty: a good detector's
    scores crowd at both ends.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        bins: how many; no more than there are images.

    Returns:
        Arrays `[B]` from the lowest scores to the highest: `images`, how many
        the bin holds; `predicted`, their mean probability; and `observed`,
        the share of fakes among them.

    Reference:
        Nguyen & O'Connor, "Posterior calibration and exploratory analysis for
        natural language processing models", EMNLP 2015, section 3 (bins of
        equal mass).

    Example:
        >>> reliability_bins(np.array([0, 1]), np.array([0.2, 0.9]), bins=2)
        {'images': array([1, 1]), 'predicted': array([0.2, 0.9]), ...}
    """
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return {
        "images": np.array([len(part) for part in parts]),
        "predicted": np.array([np.mean(probabilities[p]) for p in parts]),
        "observed": np.array([np.mean(labels[p]) for p in parts]),
    }


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """The mean distance between what is predicted and what is observed.

    Args:
        labels: int `[N]`, 0 for real and 1 for fake.
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        bins: of equal mass; see `reliability_bins`.

    Returns:
        0..1: `|predicted - observed|`, averaged over the images.

    Reference:
        Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian
        Binning", AAAI 2015.

    Example:
        >>> expected_calibration_error(np.array([0, 1]), np.array([0.5, 0.5]))
        0.5
    """
    table = reliability_bins(labels, probabilities, bins)
    distances = np.abs(table["predicted"] - table["observed"])
    return float(np.average(distances, weights=table["images"]))


def calibrated_error(
    probabilities: np.ndarray,
    bins: int = BINS,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The calibration error that perfect calibration would show by chance.

    With few images in a bin, the share of fakes among them strays from its
    expectation however honest the probabilities are, so that an error is
    never zero and only one above this says something.

    Args:
        probabilities: float `[N]` in 0..1, the probabilities of fake.
        bins: of equal mass.
        draws: how often labels are drawn from the probabilities themselves.
        seed: the same seed gives the same answer.

    Returns:
        The mean and the 95 % quantile of the error over the draws.

    Reference:
        Vaicenavicius et al., "Evaluating model calibration in classification",
        AISTATS 2019, section 5 (consistency resampling, after Broecker &
        Smith 2007).

    Example:
        >>> calibrated_error(np.full(300, 0.5))
        (0.09..., 0.12...)
    """
    rng = np.random.default_rng(seed)
    errors = [
        expected_calibration_error(
            rng.random(len(probabilities)) < probabilities, probabilities, bins
        )
        for _ in range(draws)
    ]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))
