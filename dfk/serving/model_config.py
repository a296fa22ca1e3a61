"""Reading and extending `models.config`, as TensorFlow Serving reads it.

The file names the container's paths (`/models/<name>`), since that is where
it is served in earnest. `local_path` says where such a path lies here.
"""

import os
import re
from pathlib import Path

from google.protobuf import text_format

from dfk.files import exclusive_lock
from dfk.serving.protobufs import model_server_config_pb2
from dfk.serving.status import invalid, not_found

CONTAINER_ROOT = "/models/"
PLATFORM = "tensorflow"
HEADER = """\
# The models that TensorFlow Serving serves; `python -m dfk.export` adds its
# own. Paths are those of the container: see README.md beside this file.
"""

ModelServerConfig = model_server_config_pb2.ModelServerConfig
ModelConfig = model_server_config_pb2.ModelConfig


def read(file: str | Path) -> ModelServerConfig:
    """Reads a `models.config`.

    Args:
        file: a text-format `ModelServerConfig`.

    Returns:
        The message, not yet validated.

    Raises:
        ServingError: absent, empty or not of that format.
    """
    file = Path(file)
    if not file.is_file():
        raise not_found(f"{file}; No such file or directory")
    text = file.read_bytes()
    if not text:
        raise invalid(f"{file}; Invalid argument")
    try:
        return text_format.Parse(text, ModelServerConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise invalid(f"Invalid protobuf file: '{file}'") from error


def validate(config: ModelServerConfig) -> list[ModelConfig]:
    """Checks what TensorFlow Serving checks before it loads a model.

    Args:
        config: a configuration from a file or a reload request.

    Returns:
        The models it lists.

    Raises:
        ServingError: with TensorFlow Serving's code and wording.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by "
            "HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    listed = list(config.model_config_list.config)
    seen = set()
    for model in listed:
        if model.name in seen:
            raise invalid(
                f"Illegal to list model {model.name} multiple times in "
                "config list"
            )
        seen.add(model.name)
        _validate_one(model)
    return listed


def _validate_one(model: ModelConfig) -> None:
    is_uri = re.match(r"[A-Za-z][A-Za-z0-9.+-]*://", model.base_path)
    if not (model.base_path.startswith("/") or is_uri):
        raise invalid(
            f"Expected model {model.name} to have an absolute path or URI; "
            f"got base_path()={model.base_path}"
        )
    if not model.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type "
            "(deprecated) nor ModelServerConfig::model_platform, model name "
            f"is {model.name}"
        )
    if model.model_platform != PLATFORM:
        raise invalid(
            f"Model {model.name} requests unsupported platform "
            f"{model.model_platform}"
        )


def local_path(base_path: str, models_root: str | Path) -> str:
    """Where a path of the container lies on this machine.

    Args:
        base_path: a `base_path` of `models.config`.
        models_root: the folder that the container sees as `/models`.

    Returns:
        An absolute path; other paths than the container's stay as they are.

    Example:
        >>> local_path("/models/cnn", "/home/me/saved_models")
        '/home/me/saved_models/cnn'
    """
    if not base_path.startswith(CONTAINER_ROOT):
        return base_path
    inside = base_path.removeprefix(CONTAINER_ROOT)
    return os.path.join(os.path.abspath(models_root), inside)


def localise(
    config: ModelServerConfig, models_root: str | Path
) -> ModelServerConfig:
    """A copy of a configuration with this machine's paths.

    Args:
        config: a configuration with the container's paths.
        models_root: the folder that the container sees as `/models`.
    """
    local = ModelServerConfig()
    local.CopyFrom(config)
    for model in local.model_config_list.config:
        model.base_path = local_path(model.base_path, models_root)
    return local


def add(file: str | Path, name: str) -> None:
    """Lists a model in a `models.config`, which is made if there is none.

    The other models, their policies and labels, and the comments at the top
    of the file stay. A model that is listed already is left as it is. Others
    that add to a file in the same folder wait for their turn.

    Args:
        file: the configuration's path.
        name: the model's name; its base path becomes `/models/<name>`.

    Raises:
        ServingError: there is a file, but not of that format.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(file.parent):
        _add(file, name)


def _add(file: Path, name: str) -> None:
    config = read(file) if file.exists() else ModelServerConfig()
    if any(m.name == name for m in config.model_config_list.config):
        return
    config.model_config_list.config.add(
        name=name, base_path=CONTAINER_ROOT + name, model_platform=PLATFORM
    )
    comments = _leading_comments(file) if file.exists() else HEADER
    partial = file.with_name(file.name + ".partial")
    try:
        partial.write_text(comments + text_format.MessageToString(config))
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _leading_comments(file: Path) -> str:
    """The comments and empty lines that a file begins with."""
    lines = file.read_text().splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            return "".join(lines[:number])
    return "".join(lines)
