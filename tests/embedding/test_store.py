import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dfk
from dfk.embedding import store
from dfk.errors import UserError


def table(clusters=None):
    columns = {name: np.array([f"{name}ü", ""]) for name in store.TEXTS}
    values = np.eye(2, 3, dtype="float32")
    return store.Embeddings(values, columns, "facenet", clusters)


@pytest.mark.parametrize("suffix", store.FORMATS)
@pytest.mark.parametrize("clusters", [None, np.array([0, -1])])
def test_what_is_written_is_read(tmp_path, suffix, clusters):
    path = tmp_path / f"e.{suffix}"
    store.write(table(clusters), path)
    found = store.read(path)
    np.testing.assert_array_equal(found.values, np.eye(2, 3))
    assert found.values.dtype == np.float32
    assert found.columns["label"].tolist() == ["labelü", ""]
    assert found.model == "facenet"
    np.testing.assert_array_equal(found.clusters, clusters)


def test_parquet_says_what_it_holds(tmp_path):
    store.write(table(), tmp_path / "e.parquet")
    schema = pq.read_schema(tmp_path / "e.parquet")
    assert schema.field("embedding").type == pa.list_(pa.float32(), 3)
    assert json.loads(schema.metadata[b"dfk"]) == {
        "model": "facenet",
        "dim": 3,
        "dfk_version": dfk.__version__,
    }


def test_what_is_not_known_is_null_in_parquet(tmp_path):
    store.write(table(), tmp_path / "e.parquet")
    found = pq.read_table(tmp_path / "e.parquet")
    assert found["identity"].to_pylist() == ["identityü", None]


@pytest.mark.parametrize("suffix", store.FORMATS)
def test_other_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"e.{suffix}"
    with pytest.raises(UserError, match="holds no embeddings"):
        store.read(path)
    path.write_text("hello")
    with pytest.raises(UserError, match="holds no embeddings"):
        store.read(path)
    if suffix == "parquet":
        pq.write_table(pa.table({"id": ["a"]}), path)
    else:
        np.savez(path, id=["a"])
    with pytest.raises(UserError, match="holds no embeddings"):
        store.read(path)
