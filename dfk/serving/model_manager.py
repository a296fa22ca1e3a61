"""Which versions of which models are loaded, and which one a request gets."""

from dataclasses import dataclass
from pathlib import Path

from dfk.prediction.exported import scan_versions
from dfk.serving import model_config, warmup
from dfk.serving.model_config import ModelConfig
from dfk.serving.model_status import State
from dfk.serving.protobufs import model_pb2
from dfk.serving.servable import Servable, ServingError, invalid, not_found


@dataclass
class Version:
    """One version: its state, what answers for it, why loading failed."""

    state: State = State.START
    servable: Servable | None = None
    error: ServingError | None = None


class Model:
    """A model of `models.config`, and all versions ever seen of it.

    A new version is loaded before an old one is dropped, so that a model
    never stops answering. A version that fails to load leaves the others
    alone. It is tried again only when its folder has gone and come back.

    Args:
        name: the model's name.

    Example:
        >>> model = Model("cnn")
        >>> model.refresh(config)
        []
        >>> model.available()
        [3]
    """

    def __init__(self, name: str):
        self.name = name
        self.versions: dict[int, Version] = {}
        # Not tried again before they have gone.
        self._failed: set[int] = set()
        self.labels: dict[str, int] = {}

    def refresh(self, config: ModelConfig) -> list[str]:
        """Loads what its folder has gained, then drops what that has lost.

        Args:
            config: the model's entry in `models.config`. Its labels are taken
                over as well, but one that is in use does not move to a
                version that does not answer.

        Returns:
            What went wrong, in sentences. What is loaded goes on answering,
            unless its folder or the policy no longer has any version.
        """
        try:
            found = scan_versions(config.base_path)
        except OSError as error:
            return [
                f"{self.name} has no folder {config.base_path} "
                f"({error.strerror})."
            ]
        selected = model_config.select(config, found)
        for number in selected:
            self._load(number, found[number])
        self._drop_except(selected)
        problems = [
            f"Version {n} of {self.name} cannot be loaded "
            f"({error.code.name}: {error.message})"
            for n in selected
            if (error := self.versions[n].error)
        ]
        if not selected:
            problems.append(
                f"{config.base_path} has no version of {self.name}, which is "
                "a folder whose name is a whole number."
            )
        return problems + self._move_labels(dict(config.version_labels))

    def available(self) -> list[int]:
        """The versions that answer, highest first."""
        # A copy, since another thread may be adding a version.
        known = list(self.versions.items())
        return sorted((n for n, v in known if v.servable), reverse=True)

    def drop(self) -> None:
        """Drops every version of a model that is no longer listed."""
        self.labels = {}
        self._drop_except([])

    def _load(self, number: int, path: Path) -> None:
        version = self.versions.setdefault(number, Version())
        if version.servable or number in self._failed:
            return
        version.state, version.error = State.LOADING, None
        try:
            servable = Servable(self.name, number, path)
            warmup.replay(servable)
        except ServingError as error:
            version.error = error
            version.state = State.END
            self._failed.add(number)
        else:
            version.servable = servable
            version.state = State.AVAILABLE

    def _drop_except(self, selected: list[int]) -> None:
        replaced = not selected or set(selected) & set(self.available())
        for number in sorted(set(self.versions) - set(selected)):
            version = self.versions[number]
            if version.servable and not replaced:
                continue
            # The reason of a failure stays, for who asks later.
            version.state = State.END
            version.servable = None
            self._failed.discard(number)

    def _move_labels(self, labels: dict[str, int]) -> list[str]:
        problems = []
        for label, number in labels.items():
            current = self.labels.get(label, number)
            if number != current and number not in self.available():
                labels[label] = current
                problems.append(
                    f"The label {label!r} of {self.name} stays at version "
                    f"{current}, since version {number} is not available."
                )
        self.labels = labels
        return problems


class ModelManager:
    """Keeps the loaded models in step with `models.config` and its folders.

    Only one thread may refresh it; any number may look for versions in it.

    Args:
        config: a `models.config`.
        models_root: the folder that the container sees as `/models`.

    Example:
        >>> manager = ModelManager("serving/models.config", "saved_models")
        >>> manager.refresh()
        []
        >>> manager.find(model_pb2.ModelSpec(name="cnn")).version
        3
    """

    def __init__(self, config: str | Path, models_root: str | Path):
        # Models that left the configuration stay, with no version loaded.
        self.models: dict[str, Model] = {}
        self._config = config
        self._models_root = models_root

    def refresh(self) -> list[str]:
        """Reads `models.config` and the folders again, and follows both.

        Returns:
            What went wrong, in sentences; see `Model.refresh`.

        Raises:
            UserError: `models.config` cannot be read, or not be served.
        """
        config = model_config.read_local(self._config, self._models_root)
        listed = config.model_config_list.config
        problems = []
        for entry in listed:
            model = self.models.setdefault(entry.name, Model(entry.name))
            problems += model.refresh(entry)
        for name in set(self.models) - {entry.name for entry in listed}:
            self.models[name].drop()
        return problems

    def find(self, spec: model_pb2.ModelSpec) -> Servable:
        """The loaded version that a request asks for.

        Args:
            spec: a model, and a version, a label or neither (the highest).

        Returns:
            The version.

        Raises:
            ServingError: INVALID_ARGUMENT if the label is unknown, NOT_FOUND
                if the version is not loaded.
        """
        model = self.models.get(spec.name) or Model(spec.name)
        if spec.HasField("version"):
            number = spec.version.value
        elif spec.version_label:
            number = model.labels.get(spec.version_label)
            if number is None:
                raise invalid(
                    f"{spec.name} has no label {spec.version_label!r}."
                )
        else:
            number = next(iter(model.available()), None)
        servable = model.versions.get(number, Version()).servable
        if servable is None:
            which = "" if number is None else f" {number}"
            raise not_found(f"No version{which} of {spec.name} is loaded.")
        return servable
