import hashlib
import json
from concurrent import futures

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2
from tiny import assert_any_server_can_load, build_tiny

import dfk
from dfk.errors import UserError
from dfk.files import LOCK
from dfk.serving import export as export_module
from dfk.serving import model_config
from dfk.serving.export import export

CONTRACT = {
    "serving_default": (
        {"image_bytes": (tf.string, [-1])},
        {
            "fake_probability": (tf.float32, [-1]),
            "verdict": (tf.string, [-1]),
            "reason": (tf.string, [-1]),
            "family": (tf.string, [-1]),
        },
    ),
    "images": (
        {"images": (tf.float32, [-1, 32, 32, 3])},
        {
            "fake_probability": (tf.float32, [-1]),
            "verdict": (tf.string, [-1]),
            "reason": (tf.string, [-1]),
            "family": (tf.string, [-1]),
        },
    ),
    "embed": (
        {"image_bytes": (tf.string, [-1])},
        {"embedding": (tf.float32, [-1, 20])},
    ),
    "classify": (
        {"inputs": (tf.string, [-1])},
        {"classes": (tf.string, [-1, 2]), "scores": (tf.float32, [-1, 2])},
    ),
}


def meta_graph(saved_model):
    file = saved_model / "saved_model.pb"
    return saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs[
        0
    ]


@pytest.fixture(scope="module")
def saved(place):
    return tf.saved_model.load(str(place / "saved_models/tiny/1"))


def files_below(folder):
    found = (p for p in folder.rglob("*") if p.name != LOCK)
    return sorted(str(p.relative_to(folder)) for p in found)


@pytest.mark.parametrize("name", CONTRACT)
def test_signature_has_the_names_that_callers_depend_on(place, name):
    signature = meta_graph(place / "saved_models/tiny/1").signature_def[name]
    for got, expected in zip(
        (signature.inputs, signature.outputs), CONTRACT[name], strict=True
    ):
        assert {
            alias: (
                tf.as_dtype(info.dtype),
                [d.size for d in info.tensor_shape.dim],
            )
            for alias, info in got.items()
        } == expected


def test_graph_has_only_core_operations(place):
    graph = meta_graph(place / "saved_models/tiny/1").graph_def
    assert_any_server_can_load(graph)


@pytest.mark.parametrize("count", [1, 3])
def test_every_output_has_a_row_for_each_image(saved, images, count):
    strings = tf.constant(images[:count])
    inputs = {
        "serving_default": {"image_bytes": strings},
        "images": {"images": tf.zeros([count, 32, 32, 3])},
        "embed": {"image_bytes": strings},
        # An example without an image.
        "classify": {"inputs": tf.fill([count], "")},
    }
    assert set(inputs) == set(CONTRACT)
    for name, given in inputs.items():
        for output, value in saved.signatures[name](**given).items():
            assert value.shape[0] == count, (name, output)


def test_folder_holds_labels_warm_up_and_the_keras_model(place, run):
    version = place / "saved_models/tiny/1"
    assert (version / "assets/labels.txt").read_text() == "real\nfake\n"
    warm_up = version / "assets.extra/tf_serving_warmup_requests"
    records = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(warm_up))
    ]
    assert {
        r.predict_log.request.model_spec.signature_name
        or r.classify_log.request.model_spec.signature_name
        for r in records
    } == set(CONTRACT)
    original = (run / "model.keras").read_bytes()
    assert (version / "model.keras").read_bytes() == original
    assert json.loads((version / "assets.extra/detector.json").read_text()) == {
        "format": dfk.FORMAT,
        "dfk": dfk.__version__,
        "name": "tiny",
        "image_size": 32,
    }


def test_a_manifest_names_every_other_file(place):
    version = place / "saved_models/tiny/1"
    manifest = json.loads((version / "assets.extra/manifest.json").read_text())
    assert (manifest["name"], manifest["format"]) == ("tiny", dfk.FORMAT)
    assert manifest["versions"]["tensorflow"] == tf.__version__
    files = {
        str(p.relative_to(version)) for p in version.rglob("*") if p.is_file()
    }
    assert files == {*manifest["files"], "assets.extra/manifest.json"}
    content = (version / "model.keras").read_bytes()
    assert manifest["files"]["model.keras"] == {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_an_export_is_the_next_version_and_listed(run, tmp_path):
    config = tmp_path / "serving/models.config"
    config.parent.mkdir()
    config.write_text(
        "# Ours.\n\nmodel_config_list { config { name: 'other' "
        "base_path: '/models/other' model_platform: 'tensorflow' "
        "model_version_policy { specific { versions: 4 } } "
        "version_labels { key: 'stable' value: 4 } } }\n"
    )
    (tmp_path / "saved_models/mine/v9").mkdir(parents=True)
    (tmp_path / "saved_models/mine/0007").mkdir()
    path = export(run, tmp_path / "saved_models", "mine", config)
    assert path == tmp_path / "saved_models/mine/8"
    assert config.read_text().startswith("# Ours.\n\nmodel_config_list {")
    other, mine = model_config.read(config).model_config_list.config
    assert list(other.model_version_policy.specific.versions) == [4]
    assert other.version_labels["stable"] == 4
    assert (mine.name, mine.base_path) == ("mine", "/models/mine")
    assert mine.model_platform == "tensorflow"


def test_a_listed_model_leaves_the_config_untouched(tmp_path):
    config = tmp_path / "models.config"
    model_config.add(config, "mine")
    assert config.read_text().startswith(model_config.HEADER)
    text = config.read_text().replace("\n", "\n\n") + "# Kept.\n"
    config.write_text(text)
    model_config.add(config, "mine")
    assert config.read_text() == text


@pytest.mark.parametrize("stage", ["write_card", "_publish"])
def test_an_interrupted_export_leaves_nothing_behind(
    run, tmp_path, monkeypatch, stage
):
    def interrupted(*_):
        raise KeyboardInterrupt

    if stage == "_publish":
        monkeypatch.setattr(export_module, "_write", write_little)
    monkeypatch.setattr(export_module, stage, interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(run, tmp_path / "models", config=tmp_path / "models.config")
    assert files_below(tmp_path) == ["models"]


def write_little(_, version, __):
    """In place of the graph, where only what surrounds it matters."""
    version.mkdir()
    (version / "saved_model.pb").touch()


def test_a_config_that_cannot_be_written_leaves_nothing_behind(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(export_module, "_write", write_little)
    (tmp_path / "file").touch()
    config = tmp_path / "file/models.config"
    with pytest.raises(UserError, match="Cannot list the model in"):
        export(run, tmp_path / "saved_models", config=config)
    assert files_below(tmp_path) == ["file", "saved_models"]


def test_an_unreadable_config_is_said_before_anything_is_done(run, tmp_path):
    config = tmp_path / "models.config"
    config.write_text("model_config_list { nonsense }")
    with pytest.raises(UserError, match=r"is not a models.config"):
        export(run, tmp_path / "saved_models", config=config)
    assert files_below(tmp_path) == ["models.config"]


def test_exports_at_the_same_time_lose_nothing(tmp_path):
    models, config = tmp_path / "saved_models", tmp_path / "models.config"
    models.mkdir()

    def publish(number):
        version = tmp_path / f"made-{number}"
        version.mkdir()
        (version / "saved_model.pb").touch()
        name = f"model-{number % 4}"
        return export_module._publish(version, models / name, config)

    with futures.ThreadPoolExecutor(12) as pool:
        made = list(pool.map(publish, range(12)))
    assert sorted(str(path.relative_to(models)) for path in made) == [
        f"model-{model}/{version}"
        for model in range(4)
        for version in (1, 2, 3)
    ]
    listed = model_config.read(config).model_config_list.config
    assert sorted(m.name for m in listed) == [f"model-{n}" for n in range(4)]
    assert files_below(tmp_path)[0] == "models.config"


def test_a_file_in_the_place_of_versions_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_write", write_little)
    models = tmp_path / "saved_models"
    models.mkdir()
    (models / "tiny").touch()
    with pytest.raises(UserError, match="tiny is a file"):
        export(run, models, config=tmp_path / "models.config")
    assert files_below(models) == ["tiny"]


def test_a_run_must_have_finished(tmp_path):
    with pytest.raises(UserError, match="No run at"):
        export(tmp_path / "nowhere", tmp_path / "saved_models")
    (tmp_path / "config.json").write_text(
        json.dumps({"model": "tiny", "format": dfk.FORMAT})
    )
    with pytest.raises(UserError, match="has not finished"):
        export(tmp_path, tmp_path / "saved_models")


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a b"])
def test_a_name_must_be_a_folders(run, tmp_path, name):
    with pytest.raises(UserError, match="cannot be called"):
        export(run, tmp_path, name, tmp_path / "models.config")


def test_exporting_does_not_change_the_detector(saved):
    pixels = tf.random.uniform([4, 32, 32, 3], 0, 255, seed=3)
    served = saved.signatures["images"](images=pixels)["fake_probability"]
    tf.debugging.assert_near(served, build_tiny()(pixels)[:, 0], atol=1e-6)
