"""What `dfk.export --check` finds, without a model server."""

import re
import shutil

import pytest

from dfk.serving.check import check

MODEL = """
config {
  name: "tiny" base_path: "/models/tiny" model_platform: "tensorflow"
}
"""


@pytest.fixture
def models(place, tmp_path):
    """A models.config with version 1 of tiny, in folders of the test's own."""
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    return tmp_path


def found(models, text=MODEL):
    """What is wrong with what is listed."""
    config = models / "models.config"
    config.write_text(f"model_config_list {{ {text} }}")
    return check(config, models / "saved_models")


def test_nothing_is_wrong_with_an_export(models):
    assert found(models) == []
    for path in ("saved_models/tiny", "saved_models/tiny/1"):
        assert check(models / path, "elsewhere") == []


def test_a_home_directory_may_be_short(models, monkeypatch):
    found(models)
    monkeypatch.setenv("HOME", str(models))
    assert check("~/models.config", "~/saved_models") == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("/models/tiny", "models/tiny", "base_path of tiny is not absolute"),
        ("/models/tiny", "/models/other", "has no folder .*/other"),
        ('model_platform: "tensorflow"', "", "model_platform of tiny is not"),
        (MODEL, MODEL * 2, "lists the model tiny twice"),
        (
            '"tensorflow"',
            '"tensorflow" version_labels { key: "canary" value: 7 }',
            r"label 'canary' of tiny names version 7, .* \(1\)",
        ),
        (
            '"tensorflow"',
            '"tensorflow" model_version_policy { specific { versions: 7 } }',
            r"policy of tiny names no version .* \(1\)",
        ),
    ],
)
def test_what_a_server_would_not_take_is_said(models, old, new, problem):
    (said,) = found(models, MODEL.replace(old, new))
    assert re.search(problem, said)
    assert "\n" not in said


def test_a_folder_without_versions_is_said(models):
    shutil.rmtree(models / "saved_models/tiny/1")
    (said,) = found(models)
    assert "tiny has no version" in said


def test_each_damaged_version_is_said(models):
    base_path = models / "saved_models/tiny"
    for number in "234":
        shutil.copytree(base_path / "1", base_path / number)
    (base_path / "1/assets.extra/tf_serving_warmup_requests").write_bytes(b"?")
    (base_path / "2/MODEL_CARD.md").unlink()
    (base_path / "3/assets.extra/manifest.json").unlink()
    (base_path / "5").mkdir()
    warm_up, card, manifest, empty = check(base_path, "elsewhere")
    assert "since assets.extra/tf_serving_warmup_requests has 1 byte" in warm_up
    assert "since MODEL_CARD.md is absent" in card
    assert "has no assets.extra/manifest.json" in manifest
    assert "5 holds no saved_model.pb" in empty
