"""One model of a configuration: its versions, loaded and dropped."""

from dataclasses import dataclass, field
from pathlib import Path

from dfk.prediction import versions
from dfk.serving import warmup
from dfk.serving.model_config import ModelConfig
from dfk.serving.protobufs import get_model_status_pb2
from dfk.serving.servable import Servable
from dfk.serving.status import ServingError, not_found

State = get_model_status_pb2.ModelVersionStatus.State


@dataclass
class Version:
    """One version: its state, what answers for it, why loading failed."""

    state: State = State.START
    servable: Servable | None = None
    error: ServingError | None = None
    dropped: bool = False


@dataclass
class Model:
    """A model's entry in the configuration, and all versions ever seen of it.

    A new version is loaded before an old one is dropped, so that a model
    never stops answering. A version that fails to load leaves the others
    alone, and is tried again only when its folder has gone and come back.

    Example:
        >>> model = Model(config)
        >>> model.refresh(versions.scan(config.base_path))
        >>> model.available()
        [3]
    """

    config: ModelConfig
    versions: dict[int, Version] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)

    def scan(self) -> dict[int, Path]:
        """The versions in the model's folder.

        Raises:
            ServingError: there is no such folder.
        """
        path = self.config.base_path
        try:
            return versions.scan(path)
        except OSError as error:
            raise not_found(
                f"Could not find base path {path} for servable "
                f"{self.config.name} with error NOT_FOUND: {path} not found"
            ) from error

    def refresh(self, found: dict[int, Path]) -> list[ServingError]:
        """Loads what the folder has gained, then drops what it has lost.

        Args:
            found: what `scan` returned.

        Returns:
            Why versions failed to load.
        """
        wanted = aspired(self.config, found)
        problems = []
        for number in wanted:
            known = self.versions.get(number)
            if known is None or known.dropped:
                version = self.versions[number] = Version()
                self._load(version, number, found[number])
                if version.error:
                    problems.append(version.error)
        self._drop_except(wanted)
        return problems

    def available(self) -> list[int]:
        """The versions that answer, highest first."""
        # A copy, since another thread may be adding a version.
        known = list(self.versions.items())
        return sorted((n for n, v in known if v.servable), reverse=True)

    def servable(self, number: int) -> Servable | None:
        """What answers for a version, if anything does."""
        version = self.versions.get(number)
        return version.servable if version else None

    def drop(self) -> None:
        """Drops every version, for a model that is no longer configured."""
        self.labels = {}
        self._drop_except([])

    def _load(self, version: Version, number: int, path: Path) -> None:
        version.state = State.LOADING
        try:
            servable = Servable(self.config.name, number, path)
            warmup.replay(servable)
        except ServingError as error:
            version.error = error
            version.state = State.END
        else:
            version.servable = servable
            version.state = State.AVAILABLE

    def _drop_except(self, aspired: list[int]) -> None:
        """Drops versions, lowest first, unless none would answer then."""
        if aspired and not any(self.servable(n) for n in aspired):
            return
        for number in sorted(set(self.versions) - set(aspired)):
            version = self.versions[number]
            version.dropped = True
            version.servable = None
            version.state = State.END


def aspired(model: ModelConfig, found: dict[int, Path]) -> list[int]:
    """The versions that a model's policy asks for, highest first.

    Args:
        model: the model's entry in `models.config`.
        found: what `scan` found.

    Returns:
        Version numbers, all of them in `found`.
    """
    policy = model.model_version_policy
    ordered = sorted(found, reverse=True)
    match policy.WhichOneof("policy_choice"):
        case "all":
            return ordered
        case "specific":
            return [v for v in ordered if v in policy.specific.versions]
        case _:
            return ordered[: policy.latest.num_versions or 1]
