"""The workers of a training: who they are, and waiting until all are there.

TensorFlow itself waits without a word, without an end and deaf to signals. So
before it starts, each worker listens at its own address and tries to reach all
others.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dfk.errors import UserError

GUIDE = (
    "https://www.tensorflow.org/guide/distributed_training"
    "#setting_up_the_tf_config_environment_variable"
)
_JOBS = ("chief", "worker")
# Between two attempts to reach the others, and two lines on who is missing.
_ATTEMPT_SECONDS, _SAY_SECONDS = 0.5, 15.0


@dataclass(frozen=True)
class Cluster:
    """The workers, and which of them this process is.

    Args:
        addresses: `host:port` of each worker, the chief first.
        index: of this process among them.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def others(self) -> tuple[str, ...]:
        """The addresses of all other workers."""
        return (
            *self.addresses[: self.index],
            *self.addresses[self.index + 1 :],
        )


def parse(description: str) -> Cluster:
    """Reads a `TF_CONFIG`.

    Args:
        description: JSON, `{"cluster": {"worker": ["host:port", ...]},
            "task": {"type": "worker", "index": 0}}`; there may be a `chief`.

    Raises:
        UserError: it is no such JSON; the message says what is wrong.

    Example:
        >>> parse(os.environ["TF_CONFIG"]).others
        ('10.0.0.2:12345',)
    """
    try:
        parsed = json.loads(description)
    except ValueError as error:
        raise _wrong(f"is no JSON ({error})", description) from None
    if not isinstance(parsed, dict):
        raise _wrong("is no JSON object", description)
    jobs, task = parsed.get("cluster"), parsed.get("task")
    if not isinstance(jobs, dict) or not isinstance(task, dict):
        raise _wrong("lacks `cluster` or `task`", description)
    addresses = {job: _addresses(jobs, job, description) for job in _JOBS}
    everyone = (*addresses["chief"], *addresses["worker"])
    if not everyone:
        raise _wrong("names no worker in `cluster`", description)
    job, index = task.get("type"), task.get("index")
    if job not in _JOBS:
        raise _wrong(
            f"says that this process is a {job!r}, and dfk knows "
            "worker and chief",
            description,
        )
    count = len(addresses[job])
    if not isinstance(index, int) or not 0 <= index < count:
        raise _wrong(
            f"says that this process is {job} {index!r}, and they are "
            f"numbered from 0 to {count - 1}",
            description,
        )
    before = len(addresses["chief"]) if job == "worker" else 0
    return Cluster(everyone, before + index)


def _addresses(
    jobs: dict[str, Any], job: str, description: str
) -> tuple[str, ...]:
    found = jobs.get(job, [])
    if not isinstance(found, list):
        raise _wrong(f"has no list of addresses for {job}", description)
    for address in found:
        host, _, port = str(address).rpartition(":")
        if not (host and port.isdigit() and 0 < int(port) < 1 << 16):
            raise _wrong(
                f"names the {job} {address!r}, which is not host:port",
                description,
            )
    return tuple(found)


def _wrong(reason: str, description: str) -> UserError:
    return UserError(
        f"The environment variable TF_CONFIG {reason}: see {GUIDE}. "
        f"Received: {description!r}."
    )


def wait_for_workers(cluster: Cluster, seconds: float) -> None:
    """Waits until all other workers can be reached, and says for whom.

    Args:
        cluster: from `parse`.
        seconds: how long to wait at most.

    Raises:
        UserError: this worker's port is in use, or some worker did not come.
    """
    start = said = time.monotonic()
    missing = list(cluster.others)
    with _listening(cluster.addresses[cluster.index]):
        while missing := [each for each in missing if not _answers(each)]:
            now = time.monotonic()
            if now - start > seconds:
                raise UserError(
                    f"After {seconds:.0f} seconds there is still no worker at "
                    f"{', '.join(missing)}: start all workers of TF_CONFIG, "
                    "and check that these addresses can be reached from here."
                )
            if said == start or now - said > _SAY_SECONDS:
                print(f"Waiting for {', '.join(missing)} ...", flush=True)
                said = now
            time.sleep(_ATTEMPT_SECONDS)


@contextlib.contextmanager
def _listening(address: str) -> Iterator[None]:
    """Lets other workers see that this one is there."""
    port = int(address.rpartition(":")[2])
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        raise UserError(
            f"The port of this worker, {address} in TF_CONFIG, cannot be used "
            f"({error.strerror}): end what uses it, or choose another."
        ) from error
    with server:
        yield


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection(
            (host.strip("[]"), int(port)), timeout=_ATTEMPT_SECONDS
        ):
            return True
    except OSError:
        return False
