"""A models.config that TensorFlow Serving would not start with is refused."""

from pathlib import Path

import pytest

from dfk.errors import UserError
from dfk.serving import model_config

GOOD = (
    "config { name: 'm' base_path: '/models/m' model_platform: 'tensorflow' }"
)
REFUSED = {
    "relative path": GOOD.replace("/models/m", "models/m"),
    "a model listed twice": f"{GOOD} {GOOD}",
    "no platform": "config { name: 'm' base_path: '/m' }",
    "another platform": GOOD.replace("tensorflow", "torch"),
}


def written(folder, content):
    file = folder / "models.config"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_model_is_refused(tmp_path, what):
    file = written(tmp_path, f"model_config_list {{ {REFUSED[what]} }}")
    with pytest.raises(UserError, match=r"would be refused .*\bm\b"):
        model_config.read(file)


@pytest.mark.parametrize(
    "content", [b"model_config_list {", b"what?", b"\xff\xfe"]
)
def test_a_file_of_another_format_is_refused(tmp_path, content):
    file = written(tmp_path, content)
    with pytest.raises(UserError, match=f"{file} is not a models.config"):
        model_config.read(file)


def test_a_configuration_without_a_list_is_refused(tmp_path):
    with pytest.raises(UserError, match="no model_config_list"):
        model_config.read(written(tmp_path, "custom_model_config { }"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere cannot be read"):
        model_config.read(tmp_path / "nowhere")


def test_the_only_model_is_the_one_that_is_meant(tmp_path):
    file = written(tmp_path, f"model_config_list {{ {GOOD} }}")
    assert model_config.only_model(file) == "m"
    two = GOOD + GOOD.replace("'m'", "'n'")
    written(tmp_path, f"model_config_list {{ {two} }}")
    with pytest.raises(UserError, match="lists m, n: pass --model"):
        model_config.only_model(file)
    written(tmp_path, "model_config_list { }")
    with pytest.raises(UserError, match="lists none: pass --model"):
        model_config.only_model(file)


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
def test_the_containers_paths_are_looked_up_locally(tmp_path, base_path, local):
    listed = GOOD.replace("/models/m", base_path)
    file = written(tmp_path, f"model_config_list {{ {listed} }}")
    (model,) = model_config.read_local(file, "/here").model_config_list.config
    assert model.base_path == local


def test_the_committed_file_lists_only_the_containers_paths():
    file = Path(__file__).parents[2] / "serving/models.config"
    for model in model_config.read(file).model_config_list.config:
        assert model.base_path == f"/models/{model.name}"
