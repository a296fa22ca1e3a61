"""Who the workers are, and waiting until all are there."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dfk.errors import UserError
from dfk.training import cluster


def describe(workers, kind="worker", index=0, **others):
    jobs = {"worker": workers, **others}
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("kind", "index", "place"), [("chief", 0, 0), ("worker", 0, 1)]
)
def test_the_chief_comes_first(kind, index, place):
    found = cluster.parse(describe(["a:1"], kind, index, chief=["c:1"]))
    assert found.addresses == ("c:1", "a:1")
    assert found.index == place
    assert found.others == ("a:1",) if kind == "chief" else ("c:1",)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("", "is no JSON"),
        ("{bad", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"cluster": {}}', "lacks `cluster` or `task`"),
        (describe([]), "names no worker"),
        (describe("a:1"), "no list of addresses"),
        (describe(["a"]), "'a', which is not host:port"),
        (describe(["a:port"]), "which is not host:port"),
        (describe(["a:70000"]), "which is not host:port"),
        (describe(["a:1", "b:1"], index=2), "numbered from 0 to 1"),
        (describe(["a:1"], index=-1), "numbered from 0 to 0"),
        (describe(["a:1"], index="0"), "is worker '0'"),
        (describe(["a:1"], kind="ps"), "is a 'ps', and dfk knows"),
    ],
)
def test_a_wrong_description_is_a_sentence(description, reason):
    with pytest.raises(UserError) as raised:
        cluster.parse(description)
    assert reason in str(raised.value)
    assert repr(description) in str(raised.value)


@pytest.fixture
def addresses():
    """Two addresses that nobody listens at."""
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        return tuple(
            f"127.0.0.1:{each.getsockname()[1]}" for each in (first, second)
        )


def test_a_worker_that_comes_later_is_waited_for(addresses):
    port = int(addresses[1].rpartition(":")[2])
    with ThreadPoolExecutor() as pool:
        first = pool.submit(
            cluster.wait_for_workers, cluster.Cluster(addresses, 0), 30.0
        )
        time.sleep(1)
        assert not first.done()
        with socket.create_server(("", port)):
            assert first.result(30) is None


def test_who_does_not_come_is_named(addresses, capsys):
    with pytest.raises(UserError, match=rf"no worker at {addresses[1]}"):
        cluster.wait_for_workers(cluster.Cluster(addresses, 0), 1.0)
    assert f"Waiting for {addresses[1]} ..." in capsys.readouterr().out


def test_a_port_in_use_is_named(addresses):
    port = int(addresses[0].rpartition(":")[2])
    with (
        socket.create_server(("", port)),
        pytest.raises(UserError, match=f"port of this worker, {addresses[0]}"),
    ):
        cluster.wait_for_workers(cluster.Cluster(addresses, 0), 1.0)
