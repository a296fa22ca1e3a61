"""What TensorFlow Serving says to a wrong models.config."""

import grpc
import pytest
from google.protobuf import text_format

from dfk.serving import model_config
from dfk.serving.status import ServingError

GOOD = (
    "config { name: 'm' base_path: '/models/m' model_platform: 'tensorflow' }"
)


def parse(text):
    return text_format.Parse(text, model_config.ModelServerConfig())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model_config_list { config { name: 'm' base_path: 'models/m' "
            "model_platform: 'tensorflow' } }",
            "Expected model m to have an absolute path or URI; got "
            "base_path()=models/m",
        ),
        (
            f"model_config_list {{ {GOOD} {GOOD} }}",
            "Illegal to list model m multiple times in config list",
        ),
        (
            "model_config_list { config { name: 'm' base_path: '/m' } }",
            "Illegal setting neither ModelServerConfig::model_type "
            "(deprecated) nor ModelServerConfig::model_platform, model name "
            "is m",
        ),
        (
            "model_config_list { config { name: 'm' base_path: '/m' "
            "model_platform: 'torch' } }",
            "Model m requests unsupported platform torch",
        ),
        (
            "",
            "ServerModelConfig type not supported by "
            "HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported",
        ),
    ],
)
def test_a_wrong_configuration_is_refused(text, message):
    with pytest.raises(ServingError) as caught:
        model_config.validate(parse(text))
    assert caught.value.message == message
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, "NOT_FOUND", "{}; No such file or directory"),
        (b"", "INVALID_ARGUMENT", "{}; Invalid argument"),
        (b"model_config_list {", "INVALID_ARGUMENT", "Invalid protobuf file"),
        (b"\xff\xfe", "INVALID_ARGUMENT", "Invalid protobuf file: '{}'"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, content, code, message):
    file = tmp_path / "models.config"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ServingError) as caught:
        model_config.read(file)
    assert caught.value.code.name == code
    assert caught.value.message.startswith(message.format(file))


@pytest.mark.parametrize(
    ("base_path", "local"),
    [
        ("/models/m", "/here/m"),
        ("/models/a/b", "/here/a/b"),
        ("/elsewhere/m", "/elsewhere/m"),
        ("/modelsx/m", "/modelsx/m"),
        ("gs://bucket/m", "gs://bucket/m"),
    ],
)
def test_the_containers_paths_are_looked_up_locally(base_path, local):
    assert model_config.local_path(base_path, "/here") == local


def test_uris_are_absolute():
    config = parse(f"model_config_list {{ {GOOD} }}")
    config.model_config_list.config[0].base_path = "gs://bucket/m"
    assert model_config.validate(config)
