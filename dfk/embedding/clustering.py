"""Puts embeddings into clusters, and compares these with the true classes.

Embeddings have length 1, so that Euclidean distance, which all of these
methods use, orders pairs as cosine similarity does.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.metrics.cluster import contingency_matrix
from threadpoolctl import threadpool_limits

from dfk.errors import UserError

NOISE = -1
SEED = 0
# What scikit-learn and McInnes et al. have as the smallest group that counts.
SMALLEST = 5
# As many as the map has colours for; each that is tried costs all distances.
MOST_TRIED = 10
_SILHOUETTE_SAMPLE = 5000


@dataclass(frozen=True)
class Clustering:
    """Images in clusters.

    Args:
        algorithm: one of `ALGORITHMS`.
        assignments: int64 `[N]`, 0 is the largest cluster; -1 is noise.
        reason: how their number was chosen, in words.
    """

    algorithm: str
    assignments: np.ndarray
    reason: str

    @property
    def numbers(self) -> list[int]:
        """The clusters' numbers, the largest first and noise last."""
        found = sorted(set(self.assignments.tolist()))
        return [n for n in found if n != NOISE] + [n for n in found if n < 0]


@dataclass(frozen=True)
class Summary:
    """One cluster in a row.

    Args:
        number: of the cluster; -1 is noise.
        images: how many are in it.
        majority: what most of those are whose truth is known; or None.
        share: how many of those are that, 0..1; or None.
    """

    number: int
    images: int
    majority: str | None
    share: float | None


@dataclass(frozen=True)
class Agreement:
    """How well clusters and true classes agree. Noise counts as a cluster.

    Args:
        truth: `identity` or `label`.
        images: those whose truth is known; only they count.
        classes: how many true classes these have.
        adjusted_rand_index: 1 for the same division, about 0 for a random
            one.
        purity: the share of images that are in the majority of their
            cluster.
        without_clusters: the purity of one cluster of all.
    """

    truth: str
    images: int
    classes: int
    adjusted_rand_index: float
    purity: float
    without_clusters: float


def _kmeans(values: np.ndarray, count: int) -> np.ndarray:
    # Threads that wait for each other cost more than they bring here.
    with threadpool_limits(1):
        return KMeans(count, n_init=10, random_state=SEED).fit_predict(values)


def _agglomerative(values: np.ndarray, count: int) -> np.ndarray:
    return AgglomerativeClustering(count, linkage="ward").fit_predict(values)


def _hdbscan(values: np.ndarray) -> np.ndarray:
    return HDBSCAN(min_cluster_size=SMALLEST, copy=True).fit_predict(values)


_COUNTED = {"kmeans": _kmeans, "agglomerative": _agglomerative}
ALGORITHMS = (*_COUNTED, "hdbscan")


def cluster(
    values: np.ndarray,
    algorithm: str,
    count: int | None = None,
    identities: np.ndarray | None = None,
) -> Clustering:
    """Puts embeddings into clusters.

    Args:
        values: float32 `[N, D]`, each row of length 1.
        algorithm: `kmeans`; `agglomerative` (Ward's linkage); or `hdbscan`,
            which finds the number of clusters itself and leaves out what
            belongs to none, as noise.
        count: the number of clusters, not for `hdbscan`. By default that of
            the known identities; without any, the number from 2 to 10 with
            the highest mean silhouette, which is how much nearer embeddings
            are to their own cluster than to the next.
        identities: str `[N]`, empty where not known.

    Returns:
        The clusters, the largest first.

    Raises:
        UserError: too few images, or none that differ.

    Example:
        >>> cluster(values, "kmeans", count=5).numbers
        [0, 1, 2, 3, 4]

    Reference:
        Ward, "Hierarchical Grouping to Optimize an Objective Function", 1963;
        Campello, Moulavi & Sander, "Density-Based Clustering Based on
        Hierarchical Density Estimates", PAKDD 2013; Rousseeuw, "Silhouettes:
        a Graphical Aid", 1987.
    """
    required = SMALLEST if algorithm == "hdbscan" else max(2, count or 2)
    # Rounded, since an image's place in its batch changes the last digit.
    different = len(np.unique(values.round(4), axis=0))
    if different < required:
        raise UserError(
            f"{algorithm} needs at least {required} different pictures here: "
            f"leave out --cluster, or add pictures. Received: {len(values)}, "
            f"{different} of them different."
        )
    divided, reason = _divide(values, algorithm, count, identities, different)
    return Clustering(algorithm, _by_size(divided), reason)


def _divide(
    values: np.ndarray,
    algorithm: str,
    count: int | None,
    identities: np.ndarray | None,
    different: int,
) -> tuple[np.ndarray, str]:
    """Each image's cluster, and how the number of clusters was chosen."""
    if algorithm == "hdbscan":
        return _hdbscan(values), "found by density"
    divide = _COUNTED[algorithm]
    if count is not None:
        return divide(values, count), "as asked"
    known = _classes(identities, different)
    if known:
        return divide(values, known), "as many as known identities"
    divisions = [
        divide(values, tried)
        for tried in range(2, max(3, min(MOST_TRIED + 1, different)))
    ]
    heights = [_silhouette(values, division) for division in divisions]
    best = int(np.argmax(heights))
    return divisions[best], f"chosen by silhouette ({heights[best]:.2f})"


def agreements(
    clustering: Clustering, truths: dict[str, np.ndarray]
) -> list[Agreement]:
    """Compares clusters with what is known of the images.

    Args:
        clustering: the clusters.
        truths: str `[N]` by name, empty where not known.

    Returns:
        An entry for each truth that has at least two classes.

    Reference:
        Hubert & Arabie, "Comparing Partitions", 1985; for purity, Manning,
        Raghavan & Schuetze, "Introduction to Information Retrieval", 16.3.
    """
    compared = []
    for name, truth in truths.items():
        known = truth != ""
        true, found = truth[known], clustering.assignments[known]
        if len(set(true)) < 2:
            continue
        # A row a class, a column a cluster.
        counts = contingency_matrix(true, found)
        compared.append(
            Agreement(
                truth=name,
                images=len(true),
                classes=len(counts),
                adjusted_rand_index=float(adjusted_rand_score(true, found)),
                purity=float(counts.max(axis=0).sum() / len(true)),
                without_clusters=float(counts.sum(axis=1).max() / len(true)),
            )
        )
    return compared


def majority(truth: np.ndarray) -> tuple[str | None, float | None]:
    """What most images are, and the share of those that are.

    Args:
        truth: str `[N]`, empty where not known.

    Returns:
        The most frequent truth and its share of those known, or two Nones.
    """
    known = Counter(truth[truth != ""].tolist())
    if not known:
        return None, None
    name, count = known.most_common(1)[0]
    return name, count / known.total()


def summaries(
    clustering: Clustering, truth: np.ndarray | None = None
) -> list[Summary]:
    """Describes each cluster, the largest first and noise last.

    Args:
        clustering: the clusters.
        truth: str `[N]`, empty where not known.

    Returns:
        A row a cluster.
    """
    rows = []
    for number in clustering.numbers:
        here = clustering.assignments == number
        most = (None, None) if truth is None else majority(truth[here])
        rows.append(Summary(number, int(np.sum(here)), *most))
    return rows


def _classes(identities: np.ndarray | None, most: int) -> int | None:
    """The number of identities, if it says anything of the images."""
    if identities is None:
        return None
    known = identities[identities != ""]
    count = len(set(known))
    return count if 2 <= count < len(known) and count <= most else None


def _silhouette(values: np.ndarray, division: np.ndarray) -> float:
    if not 2 <= len(set(division)) < len(values):
        return -1.0
    sample = min(len(values), _SILHOUETTE_SAMPLE)
    return silhouette_score(
        values, division, sample_size=sample, random_state=SEED
    )


def _by_size(division: np.ndarray) -> np.ndarray:
    """Numbers clusters anew, the largest first; noise stays noise."""
    sizes = Counter(division[division != NOISE].tolist())
    new = {old: i for i, (old, _) in enumerate(sizes.most_common())}
    return np.array([new.get(old, NOISE) for old in division.tolist()])
