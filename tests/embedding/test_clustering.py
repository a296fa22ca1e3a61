import numpy as np
import pytest

from dfk.embedding.clustering import (
    ALGORITHMS,
    Clustering,
    agreements,
    cluster,
    summaries,
)
from dfk.errors import UserError

SIZES = {"ann": 20, "bob": 15, "cleo": 12}


def people(spread=0.1, seed=0):
    """Embeddings around one direction a person."""
    random = np.random.default_rng(seed)
    centers = np.eye(len(SIZES), 16)
    names = np.repeat(list(SIZES), list(SIZES.values()))
    numbers = np.repeat(range(len(SIZES)), list(SIZES.values()))
    values = centers[numbers] + random.normal(0, spread, (len(names), 16))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values.astype("float32"), names


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_people_who_are_apart_are_found(algorithm):
    values, names = people()
    found = cluster(values, algorithm)
    (agreement,) = agreements(found, {"identity": names})
    assert agreement.adjusted_rand_index > 0.9
    assert [row.majority for row in summaries(found, names)][:3] == list(SIZES)


def test_the_silhouette_finds_the_number_of_people():
    values, _ = people()
    assert cluster(values, "kmeans").numbers == [0, 1, 2]


def test_known_identities_give_the_number_of_clusters():
    values, names = people()
    names[::2] = ""
    names[names == "cleo"] = "bob"
    assert cluster(values, "kmeans", None, names).numbers == [0, 1]


def test_identities_of_one_image_each_say_nothing():
    values, _ = people()
    names = np.arange(len(values)).astype(str)
    assert cluster(values, "kmeans", None, names).numbers == [0, 1, 2]


def test_a_number_that_is_asked_for_goes_first():
    values, names = people()
    assert len(cluster(values, "agglomerative", 5, names).numbers) == 5


def test_strangers_are_noise_to_hdbscan():
    values, _ = people(spread=0.05)
    stranger = np.eye(16, dtype="float32")[-1:]
    found = cluster(np.concatenate([values, stranger]), "hdbscan")
    assert found.assignments[-1] == -1
    assert found.numbers[-1] == -1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_too_few_images_are_refused(algorithm):
    values, _ = people()
    with pytest.raises(UserError, match="leave out --cluster"):
        cluster(values[:1], algorithm)


def test_copies_of_one_image_are_refused():
    values, _ = people()
    with pytest.raises(UserError, match="Received: 9, 1 of them different"):
        cluster(np.repeat(values[:1], 9, axis=0), "kmeans")


def test_two_images_and_their_copies_are_two_clusters():
    values, _ = people()
    copies = np.repeat(values[[0, -1]], [3, 2], axis=0)
    found = cluster(copies, "kmeans")
    assert found.assignments.tolist() == [0, 0, 0, 1, 1]


def test_agreement_by_hand():
    found = Clustering("", np.array([0, 0, 0, 1, 1, -1, 0]), "")
    truth = np.array(["a", "a", "b", "b", "b", "a", ""])
    (agreement,) = agreements(found, {"label": truth})
    assert (agreement.images, agreement.classes) == (6, 2)
    assert agreement.purity == pytest.approx(5 / 6)
    assert agreement.without_clusters == pytest.approx(1 / 2)
    # Pairs together in both 2, in clusters 4, in truth 6, of 15 in all.
    expected = (2 - 4 * 6 / 15) / ((4 + 6) / 2 - 4 * 6 / 15)
    assert agreement.adjusted_rand_index == pytest.approx(expected)


def test_nothing_known_is_nothing_to_agree_with():
    found = Clustering("", np.array([0, 1]), "")
    unknown = {"label": np.array(["", ""]), "identity": np.array(["a", "a"])}
    assert agreements(found, unknown) == []
    assert [row.majority for row in summaries(found)] == [None, None]
