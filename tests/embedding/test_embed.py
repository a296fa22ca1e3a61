import subprocess
import sys

import numpy as np
import pytest

from dfk import models
from dfk.embedding import store
from dfk.embedding.pipeline import embed
from dfk.errors import UserError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "cnn.keras"
    models.build("cnn", 32, weights="none").save(path)
    return str(path)


@pytest.fixture
def faces(tmp_path, monkeypatch, write_faces):
    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    write_faces(tmp_path / "faces", {"train": 5, "valid": 3})
    return tmp_path / "faces"


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dfk.embed", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_command_embeds_and_clusters_a_data_set(tmp_path, faces, model):
    (faces / "train" / "real" / "broken.jpg").write_text("hello")
    result = command(
        *(faces, f"--model={model}", "--cluster=kmeans", "--clusters=3"),
        f"--output_dir={tmp_path / 'out'}",
    )
    assert result.returncode == 0, result.stderr
    assert "Skipped 1: " in result.stdout
    assert "adjusted Rand" in result.stdout
    found = store.read(tmp_path / "out" / "embeddings.parquet")
    assert found.columns["label"].tolist().count("fake") == 8
    assert set(found.columns["split"]) == {"train", "validation"}
    lengths = np.linalg.norm(found.values, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert set(found.clusters) == {0, 1, 2}
    written = {path.name for path in (tmp_path / "out" / "clusters").iterdir()}
    assert written == {
        *("map.png", "clusters.json"),
        *("cluster-0.png", "cluster-1.png", "cluster-2.png"),
    }


def test_an_image_has_the_embedding_of_its_own_pixels(tmp_path, faces, model):
    made = embed([str(faces)], model, output_dir=tmp_path / "all").embeddings
    one = faces / "valid" / "fake" / "fake001.png"
    single = embed([str(one)], model, output_dir=tmp_path / "one").embeddings
    row = made.columns["id"].tolist().index("valid/fake/fake001.png")
    np.testing.assert_allclose(made.values[row], single.values[0], atol=1e-5)


def test_results_of_an_earlier_call_are_replaced(tmp_path, faces, model):
    out = tmp_path / "out"
    embed([str(faces)], model, output_dir=out, algorithm="kmeans")
    embed([str(faces)], model, output_dir=out, file_format="npz")
    assert {path.name for path in out.iterdir()} == {
        *("embeddings.npz", "projector"),
    }
    assert store.read(out / "embeddings.npz").clusters is None


def test_a_folder_with_other_files_is_not_written_into(faces, model):
    with pytest.raises(UserError, match="files that are not embeddings"):
        embed([str(faces)], model, output_dir=faces)


def test_nothing_is_left_of_what_failed(tmp_path, faces, model):
    out = tmp_path / "results" / "out"
    with pytest.raises(UserError, match="at least 99 different pictures"):
        embed([str(faces)], model, output_dir=out, algorithm="kmeans", count=99)
    assert not out.exists()


def test_a_data_set_of_tfds_has_no_faces_to_cut():
    with pytest.raises(UserError, match="leave out --faces"):
        embed(["real_fake_faces/sample"], faces=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "No picture was named"),
        ([__file__, "--clusters=3"], "--clusters is for --cluster=kmeans"),
        ([__file__, "--limit=3"], "--limit is for --classify"),
        ([__file__, "--classify", "--faces"], "--classify takes one data set"),
        (["missing.jpg"], "No file or folder missing.jpg"),
    ],
)
def test_wrong_input_is_answered_with_a_sentence(arguments, sentence):
    result = command(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {sentence}")
