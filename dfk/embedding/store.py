"""Embeddings on disk: a Parquet file for tables, or NPZ for NumPy alone."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import dfk
from dfk.errors import UserError

FORMATS = ("parquet", "npz")
TEXTS = ("id", "path", "label", "identity", "split")


@dataclass(frozen=True)
class Embeddings:
    """A table of embeddings.

    Args:
        values: float32 `[N, D]`, each row of length 1.
        columns: str `[N]` under each of `id`, `path`, `label`, `identity` and
            `split`; an empty string is not known.
        model: what made them.
        clusters: int `[N]`, -1 for noise; or None.
    """

    values: np.ndarray
    columns: dict[str, np.ndarray]
    model: str
    clusters: np.ndarray | None = None


def write(embeddings: Embeddings, path: Path) -> None:
    """Writes embeddings as the suffix of the path says.

    A Parquet file has the columns `id`, `path`, `label`, `identity`, `split`
    (null where not known), `cluster` where there are clusters, and
    `embedding`, a list of D float32. Its metadata has the key `dfk` with
    `model`, `dim` and `dfk_version` as JSON. An NPZ file has arrays of the
    same names, empty strings for what is not known, and the metadata.

    Args:
        embeddings: what to write.
        path: a `.parquet` or `.npz` file.

    Example:
        >>> write(embeddings, Path("embeddings.parquet"))
    """
    metadata = json.dumps(
        {
            "model": embeddings.model,
            "dim": embeddings.values.shape[1],
            "dfk_version": dfk.__version__,
        }
    )
    partial = path.with_name(path.name + ".partial")
    if path.suffix == ".parquet":
        table = _table(embeddings).replace_schema_metadata({"dfk": metadata})
        pq.write_table(table, partial)
    else:
        clusters = {"cluster": embeddings.clusters}
        with partial.open("wb") as file:
            np.savez(
                file,
                **embeddings.columns,
                **(clusters if embeddings.clusters is not None else {}),
                embedding=embeddings.values,
                dfk=np.array(metadata),
            )
    os.replace(partial, path)


def read(path: str | Path) -> Embeddings:
    """Reads what `write` wrote.

    Args:
        path: a `.parquet` or `.npz` file.

    Returns:
        The embeddings.

    Raises:
        UserError: there is no such file, or it holds something else.

    Example:
        >>> read("embeddings/embeddings.parquet").values.shape
        (117, 128)
    """
    path = Path(path)
    try:
        if path.suffix == ".npz":
            return _from_npz(path)
        return _from_parquet(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} holds no embeddings ({error}): pass a .parquet or .npz "
            "file that `python -m dfk.embed` wrote."
        ) from error


def _table(embeddings: Embeddings) -> pa.Table:
    columns = {}
    for name in TEXTS:
        texts = embeddings.columns[name]
        columns[name] = pa.array(texts, pa.string(), mask=texts == "")
    if embeddings.clusters is not None:
        columns["cluster"] = pa.array(embeddings.clusters, pa.int32())
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(
        pa.array(embeddings.values.ravel(), pa.float32()),
        embeddings.values.shape[1],
    )
    return pa.table(columns)


def _from_parquet(path: Path) -> Embeddings:
    table = pq.read_table(path)
    metadata = json.loads((table.schema.metadata or {})[b"dfk"])
    flat = table["embedding"].combine_chunks().flatten().to_numpy()
    clusters = None
    if "cluster" in table.column_names:
        clusters = table["cluster"].to_numpy()
    return Embeddings(
        flat.reshape(-1, metadata["dim"]),
        {
            name: np.array(table[name].fill_null("").to_pylist(), str)
            for name in TEXTS
        },
        metadata["model"],
        clusters,
    )


def _from_npz(path: Path) -> Embeddings:
    with np.load(path) as arrays:
        return Embeddings(
            arrays["embedding"],
            {name: arrays[name] for name in TEXTS},
            json.loads(str(arrays["dfk"]))["model"],
            arrays.get("cluster"),
        )
