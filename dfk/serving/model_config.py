"""Reading and extending `models.config`, the list of served models.

The file names the container's paths (`/models/<name>`), since production
serves from there. `read_local` translates them to this machine's.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf import text_format

from dfk.errors import UserError
from dfk.files import exclusive_lock, expanded, write_text
from dfk.serving.protobufs import model_server_config_pb2

CONTAINER_ROOT = "/models/"
PLATFORM = "tensorflow"
HEADER = """\
# The models that TensorFlow Serving serves; `python -m dfk.export` adds its
# own. Paths are those of the container: see README.md beside this file.
"""

ModelServerConfig = model_server_config_pb2.ModelServerConfig
ModelConfig = model_server_config_pb2.ModelConfig


def read(file: str | Path) -> ModelServerConfig:
    """Reads a `models.config` and checks what TensorFlow Serving checks.

    Args:
        file: a text-format `ModelServerConfig`.

    Returns:
        The message; `model_config_list.config` holds the models.

    Raises:
        UserError: it is absent, not of that format, or a model server would
            refuse it.
    """
    try:
        text = expanded(file).read_bytes()
    except OSError as error:
        raise UserError(
            f"{file} cannot be read ({error.strerror}): pass --config with a "
            "models.config, or make one with `python -m dfk.export RUN`."
        ) from error
    try:
        config = text_format.Parse(text, ModelServerConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} is not a models.config in text format ({error}): correct "
            "it, or pass another --config."
        ) from error
    problem = _problem(config)
    if problem:
        raise UserError(
            f"{file} would be refused by a model server, since {problem}: "
            "correct it, or pass another --config."
        )
    return config


def _problem(config: ModelServerConfig) -> str | None:
    """What a model server refuses in a configuration, if anything."""
    if config.HasField("custom_model_config"):
        return "it has no model_config_list"
    seen = set()
    for model in config.model_config_list.config:
        if model.name in seen:
            return f"it lists the model {model.name} twice"
        seen.add(model.name)
        if not re.match(r"/|[A-Za-z][A-Za-z0-9.+-]*://", model.base_path):
            return (
                f"the base_path of {model.name} is not absolute "
                f"({model.base_path!r})"
            )
        if model.model_platform != PLATFORM:
            return (
                f"the model_platform of {model.name} is not "
                f"'{PLATFORM}' ({model.model_platform!r})"
            )
    return None


def read_local(file: str | Path, models_root: str | Path) -> ModelServerConfig:
    """Reads a `models.config` with this machine's paths.

    Args:
        file: a text-format `ModelServerConfig`.
        models_root: the folder that the container sees as `/models`. Paths
            outside of the container's `/models` stay as they are.

    Returns:
        The message.

    Raises:
        UserError: as `read` does.

    Example:
        >>> config = read_local("serving/models.config", "/me/saved_models")
        >>> config.model_config_list.config[0].base_path
        '/me/saved_models/cnn'
    """
    config = read(file)
    root = expanded(models_root).absolute()
    for model in config.model_config_list.config:
        if model.base_path.startswith(CONTAINER_ROOT):
            inside = model.base_path.removeprefix(CONTAINER_ROOT)
            model.base_path = str(root / inside)
    return config


def only_model(file: str | Path) -> str:
    """The name of the model that a `models.config` lists, if it is just one.

    Args:
        file: the configuration's path.

    Returns:
        What a client asks for that was told no name.

    Raises:
        UserError: there is no such file, or it lists none or several.

    Example:
        >>> only_model("serving/models.config")
        'clip'
    """
    names = []
    if Path(file).exists():
        names = [m.name for m in read(file).model_config_list.config]
        found = f"{file} lists {', '.join(names) or 'none'}"
    else:
        found = f"there is no {file} here that lists one"
    if len(names) == 1:
        return names[0]
    raise UserError(
        f"No model is named, and {found}: pass --model with the name of one "
        "that the server has."
    )


def select(config: ModelConfig, found: Iterable[int]) -> list[int]:
    """The versions that a model's policy asks for.

    Args:
        config: the model's entry in `models.config`.
        found: the versions in its folder.

    Returns:
        Those of them that are to be served, highest first.
    """
    policy = config.model_version_policy
    ordered = sorted(found, reverse=True)
    match policy.WhichOneof("policy_choice"):
        case "all":
            return ordered
        case "specific":
            return [v for v in ordered if v in policy.specific.versions]
        case _:
            return ordered[: policy.latest.num_versions or 1]


@contextlib.contextmanager
def editing(file: str | Path) -> Iterator[ModelServerConfig]:
    """Lets a `models.config` be changed; it is made if there is none.

    What the block leaves as it was stays, and so do the comments at the top
    of the file. A model server that reads it meanwhile sees the old file or
    the new one. Of several processes that edit a file, one at a time does.

    Args:
        file: the configuration's path.

    Yields:
        The message; it is written if the block changes it.

    Raises:
        UserError: there is a file that `read` refuses.

    Example:
        >>> with editing("serving/models.config") as config:
        ...     entry(config, "clip").version_labels["stable"] = 3
    """
    file = expanded(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(file.parent):
        config = read(file) if file.exists() else ModelServerConfig()
        before = ModelServerConfig()
        before.CopyFrom(config)
        yield config
        if config != before:
            comments = _leading_comments(file) if file.exists() else HEADER
            write_text(file, comments + text_format.MessageToString(config))


def entry(config: ModelServerConfig, name: str) -> ModelConfig:
    """The entry of a model.

    Raises:
        UserError: it is not listed.
    """
    for model in config.model_config_list.config:
        if model.name == name:
            return model
    raise UserError(
        f"models.config lists no model {name!r}: export one of that name with "
        "`python -m dfk.export RUN`, or pass another --config."
    )


def add(file: str | Path, name: str) -> None:
    """Lists a model in a `models.config`, unless it is listed already.

    Args:
        file: the configuration's path.
        name: the model's name; its base path becomes `/models/<name>`.

    Raises:
        UserError: there is a file that `read` refuses.
    """
    with editing(file) as config:
        models = config.model_config_list.config
        if not any(model.name == name for model in models):
            models.add(
                name=name,
                base_path=CONTAINER_ROOT + name,
                model_platform=PLATFORM,
            )


def _leading_comments(file: Path) -> str:
    """The comments and empty lines that a file begins with."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            return "".join(lines[:number])
    return "".join(lines)
