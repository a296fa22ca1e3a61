"""Giving callers another version: labels that move, and old versions removed.

A model server refuses an edit of `models.config` that gives a label to a
version that it has not loaded yet. So a label moves in two edits: the first
has the version loaded, and the second is made once the server says that it
is available.
"""

import tempfile
import time
from pathlib import Path

import grpc

from dfk.errors import UserError
from dfk.files import exclusive_lock
from dfk.prediction.exported import scan_versions
from dfk.serving import model_config
from dfk.serving.channel import CHANNEL_OPTIONS
from dfk.serving.model_config import ModelConfig
from dfk.serving.model_status import State, VersionStatus, model_status

# Between two questions to the server.
_SECONDS = 0.5
# How long it may take to answer one.
_ANSWER_SECONDS = 5.0


def require_server(address: str) -> None:
    """Refuses an address where no model server answers.

    Args:
        address: `host:port` of its gRPC port.

    Raises:
        UserError: none does.
    """
    with grpc.insecure_channel(address, CHANNEL_OPTIONS) as channel:
        try:
            # It need not know the model yet.
            model_status(channel, "any", _ANSWER_SECONDS)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise UserError(
                    f"No model server answers at {address} "
                    f"({error.code().name}): start one, or pass "
                    "--server=HOST:PORT with the gRPC address of one."
                ) from error


def is_served(version: Path, config: str | Path) -> bool:
    """Whether a model's policy has a version served.

    Args:
        version: its folder, `<saved_models>/<name>/<version>`.
        config: the `models.config`.

    Example:
        >>> is_served(Path("saved_models/clip/3"), "serving/models.config")
        True
    """
    model = model_config.entry(model_config.read(config), version.parent.name)
    found = scan_versions(version.parent)
    return int(version.name) in model_config.select(model, found)


def move_label(
    version: Path,
    label: str,
    config: str | Path,
    server: str,
    timeout: float,
    is_new: bool,
) -> int | None:
    """Gives a label to a version, as soon as a model server has loaded it.

    The model's policy becomes one that names this version, and those that have
    labels; before there are any, those that were served. So a version that
    its last label leaves is still loaded until the next label moves. A policy
    of all versions stays.

    Args:
        version: its folder, `<saved_models>/<name>/<version>`.
        label: what callers ask for, such as `stable` or `canary`.
        config: the `models.config` that the server reads.
        server: `host:port` of its gRPC port.
        timeout: seconds until the server must have loaded it.
        is_new: whether it was exported just now, so that it was not served.

    Returns:
        The version that had the label, or None.

    Raises:
        UserError: the server cannot load the version, which leaves
            `models.config` as it was; or has not in time, which leaves the
            label where it was.

    Example:
        >>> move_label(path, "canary", config, "localhost:8500", 300.0, True)
        2
    """
    name, number = version.parent.name, int(version.name)
    which = f"version {number} of {name}"
    # What the server says of an earlier attempt to load it is not of this one.
    is_again = not is_new and not is_served(version, config)
    earlier = _status_at(server, name, number) if is_again else None
    before = _have_loaded(version, config, is_new)
    print(
        f"Waiting until {server} has loaded {which}, for at most {timeout:g} "
        "seconds.",
        flush=True,
    )
    status = _settled(name, number, server, timeout, earlier)
    if status.error:
        with model_config.editing(config) as edited:
            policy = model_config.entry(edited, name).model_version_policy
            policy.CopyFrom(before.model_version_policy)
        raise UserError(
            f"{server} cannot load {which} ({status.error}), and the label "
            f"{label} stays where it is: correct what the server names, and "
            "export the run again, which gets another number."
        )
    if status.state != State.AVAILABLE:
        raise UserError(
            f"{server} has not loaded {which} in {timeout:g} seconds (state: "
            f"{status.state.name}), and the label {label} stays where it is: "
            f"check that it reads {config} again and sees {version}, then "
            "repeat the command with that folder in place of the run."
        )
    with model_config.editing(config) as edited:
        model_config.entry(edited, name).version_labels[label] = number
    return before.version_labels.get(label)


def prune(version: Path, keep: int, config: str | Path) -> list[Path]:
    """Deletes old versions of a model.

    Args:
        version: the folder of one of its versions.
        keep: how many of the newest stay. Those that have a label, or that
            the model's policy names, stay as well.
        config: the `models.config`.

    Returns:
        The folders that were deleted, oldest first.

    Raises:
        UserError: the model is not listed.

    Example:
        >>> prune(Path("saved_models/clip/3"), 2, "serving/models.config")
        [PosixPath('saved_models/clip/1')]
    """
    base_path = version.parent
    model = model_config.entry(model_config.read(config), base_path.name)
    policy = model.model_version_policy
    newest = max(keep, policy.latest.num_versions)
    named = {*model.version_labels.values(), *policy.specific.versions}
    with exclusive_lock(base_path.parent):
        found = scan_versions(base_path)
        old = sorted(found)[:-newest]
        deleted = [found[number] for number in old if number not in named]
        # Renamed first, so that no server sees a part of a version.
        with tempfile.TemporaryDirectory(
            prefix=".pruned-", dir=base_path.parent
        ) as trash:
            for path in deleted:
                path.rename(Path(trash, path.name))
    return deleted


def _have_loaded(
    version: Path, config: str | Path, is_new: bool
) -> ModelConfig:
    """Makes the first edit; gives the model's entry as it was."""
    number, before = int(version.name), ModelConfig()
    found = scan_versions(version.parent)
    if is_new:
        del found[number]
    with model_config.editing(config) as edited:
        model = model_config.entry(edited, version.parent.name)
        before.CopyFrom(model)
        policy = model.model_version_policy
        if policy.WhichOneof("policy_choice") != "all":
            kept = set(model.version_labels.values()) or set(
                model_config.select(model, found)
            )
            policy.specific.versions[:] = sorted({*kept, number})
    return before


def _settled(
    name: str,
    number: int,
    server: str,
    timeout: float,
    earlier: VersionStatus | None,
) -> VersionStatus:
    """A version's state once it is available, has failed, or time is up.

    Its state from before it was to be loaded does not count.
    """
    end = time.monotonic() + timeout
    with grpc.insecure_channel(server, CHANNEL_OPTIONS) as channel:
        while True:
            status = _status(channel, name, number)
            if (
                status.state == State.AVAILABLE
                or (status.error and status != earlier)
                or time.monotonic() > end
            ):
                return status
            time.sleep(_SECONDS)


def _status_at(server: str, name: str, number: int) -> VersionStatus:
    with grpc.insecure_channel(server, CHANNEL_OPTIONS) as channel:
        return _status(channel, name, number)


def _status(channel: grpc.Channel, name: str, number: int) -> VersionStatus:
    unknown = VersionStatus(number, State.UNKNOWN, "")
    try:
        found = model_status(channel, name, _ANSWER_SECONDS)
    except grpc.RpcError:
        # It does not know the model yet, or starts again.
        return unknown
    return next((each for each in found if each.version == number), unknown)
