"""Which devices and which part in a cluster a process takes."""

import json

import pytest
import tensorflow as tf

from dfk.errors import UserError
from dfk.training import strategies


class _Member:
    """Stands for a strategy in a cluster, of which it has only the place."""

    def __init__(self, monkeypatch, cluster, kind, number):
        task = {"type": kind, "index": number}
        monkeypatch.setenv(
            "TF_CONFIG", json.dumps({"cluster": cluster, "task": task})
        )
        self.cluster_resolver = (
            tf.distribute.cluster_resolver.TFConfigClusterResolver()
        )


@pytest.mark.parametrize(
    ("cluster", "chief"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 0)),
        ({"chief": ["c:1"], "worker": ["a:1", "b:1"]}, ("chief", 0)),
    ],
)
def test_a_cluster_has_one_chief(monkeypatch, cluster, chief):
    members = [(kind, n) for kind in cluster for n in range(len(cluster[kind]))]
    chiefs = [
        member
        for member in members
        if strategies.is_chief(_Member(monkeypatch, cluster, *member))
    ]
    assert chiefs == [chief]


def test_one_process_is_its_own_chief():
    assert strategies.is_chief(strategies.choose("one_device"))


def test_a_process_is_one_worker(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{}")
    monkeypatch.setattr(strategies.cluster, "parse", lambda text: text)
    monkeypatch.setattr(
        strategies.cluster, "wait_for_workers", lambda *arguments: None
    )
    monkeypatch.setattr(
        strategies.tf.distribute, "MultiWorkerMirroredStrategy", object
    )
    first = strategies.choose("multi_worker")
    # As repeats do; a second one would find its own port in use.
    assert strategies.choose("multi_worker") is first
    strategies._multi_worker.cache_clear()


def test_several_workers_need_a_description_of_the_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="TF_CONFIG, which names all workers"):
        strategies.choose("multi_worker")
