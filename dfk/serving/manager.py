"""Which models are loaded, and which version of them a request gets."""

import threading

from dfk.serving.model import Model, aspired
from dfk.serving.model_config import ModelConfig, ModelServerConfig, validate
from dfk.serving.protobufs import model_pb2
from dfk.serving.status import (
    ServingError,
    invalid,
    not_found,
    precondition,
    unknown,
)


class Manager:
    """Keeps the loaded models in step with a configuration and its folders.

    Example:
        >>> manager = Manager()
        >>> manager.reload(config)
        >>> manager.find(model_pb2.ModelSpec(name="cnn")).version
        3
    """

    def __init__(self):
        # Models that left the configuration stay, with no version loaded.
        self._models: dict[str, Model] = {}
        self._listed: list[Model] = []
        # Loading takes seconds; requests do not wait for who holds this.
        self._changing = threading.Lock()

    def reload(self, config: ModelServerConfig) -> None:
        """Takes over a configuration and waits until its new models answer.

        Args:
            config: the whole configuration, with this machine's paths;
                models that it leaves out are dropped.

        Raises:
            ServingError: the configuration is refused, or a new model of it
                does not become available. Loaded models keep answering.
        """
        entries = validate(config)
        with self._changing:
            for entry in entries:
                self._check_labels(entry)
            models = [self._configured(entry) for entry in entries]
            found = [model.scan() for model in models]
            new = [m for m in models if not m.available()]
            for model, folders in zip(models, found, strict=True):
                model.refresh(folders)
            for name in set(self._models) - {m.config.name for m in models}:
                self._models[name].drop()
            self._models.update({m.config.name: m for m in models})
            self._listed = models
            _check_loaded(new)

    def poll(self) -> list[ServingError]:
        """Looks for versions that came or went, loads and drops them.

        Returns:
            What went wrong; the models that are loaded stay.
        """
        with self._changing:
            try:
                found = [model.scan() for model in self._listed]
            except ServingError as error:
                return [error]
            problems = []
            for model, folders in zip(self._listed, found, strict=True):
                problems += model.refresh(folders)
            return problems

    def find(self, spec: model_pb2.ModelSpec):
        """The loaded version that a request asks for.

        Args:
            spec: a model, and a version, a label or neither (the highest).

        Returns:
            A `Servable`.

        Raises:
            ServingError: with TensorFlow Serving's code and wording.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        model = self._models.get(spec.name) or Model(ModelConfig())
        if spec.HasField("version"):
            number = spec.version.value
        elif spec.version_label:
            number = model.labels.get(spec.version_label)
            if number is None:
                label = spec.version_label
                raise invalid(f"Unrecognized servable version label: {label}")
        else:
            number = next(iter(model.available()), None)
            if number is None:
                wanted = f"Latest({spec.name})"
                raise not_found(f"Servable not found for request: {wanted}")
        servable = model.servable(number)
        if servable is None:
            wanted = f"Specific({spec.name}, {number})"
            raise not_found(f"Servable not found for request: {wanted}")
        return servable

    def models(self) -> dict[str, Model]:
        """Every model ever configured, by name."""
        return dict(self._models)

    def _configured(self, entry: ModelConfig) -> Model:
        """A model with its new entry, and the versions it has loaded."""
        model = Model(entry, labels=dict(entry.version_labels))
        if entry.name in self._models:
            model.versions = self._models[entry.name].versions
        return model

    def _check_labels(self, entry: ModelConfig) -> None:
        """Refuses to move a label to a version that does not answer."""
        known = self._models.get(entry.name, Model(entry))
        for label, number in entry.version_labels.items():
            moved = known.labels.get(label, number) != number
            if moved and number not in known.available():
                raise precondition(
                    f"Request to assign label to version {number} of model "
                    f"{entry.name}, which is not currently available for "
                    "inference"
                )


def _check_loaded(models: list[Model]) -> None:
    """Insists on the highest version that each model's policy asks for."""
    causes = []
    for model in models:
        name, path = model.config.name, model.config.base_path
        wanted = aspired(model.config, dict.fromkeys(model.versions))
        if not wanted:
            raise not_found(
                f"No versions of servable {name} found under base path {path}."
                " Did you forget to name your leaf directory as a number (eg. "
                "'/1/')?"
            )
        error = model.versions[wanted[0]].error
        if error:
            causes.append(
                f"{{name: {name} version: {wanted[0]}}} due to error: "
                f"{error.code.name}: {error.message}, "
            )
    if causes:
        raise unknown(
            f"{len(causes)} servable(s) did not become available: "
            f"{{{''.join(causes)}}}"
        )
