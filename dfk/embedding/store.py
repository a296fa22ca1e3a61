"""Embeddings on disk: a folder with their table and TensorBoard's projector."""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tensorboard.plugins import projector

import dfk
from dfk.errors import UserError
from dfk.files import replacing, writing

FORMATS = ("parquet", "npz")
TEXTS = ("id", "path", "label", "identity", "split")
# What a folder of embeddings holds.
TABLE, PROJECTOR, CLUSTERS = "embeddings", "projector", "clusters"
_TABLES = tuple(f"{TABLE}.{suffix}" for suffix in FORMATS)
# Browsers refuse larger textures than this many pixels a side.
_LARGEST_SPRITE = 8192


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


def require_own(folder: Path) -> None:
    """Refuses a folder in which files of others could be overwritten.

    Raises:
        UserError: it is a file, or holds files but no embeddings.
    """
    if folder.is_dir():
        names = {path.name for path in folder.iterdir()}
        if not names or names & set(_TABLES):
            return
    elif not folder.exists():
        return
    raise UserError(
        f"{folder} holds files that are not embeddings: pass another "
        "--output_dir."
    )


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Lets a folder of embeddings be replaced, or stay if the block fails.

    Args:
        folder: where the files go in the end; made if it is missing.

    Yields:
        An empty folder beside it, whose files then take the place of older
        ones. After an error nothing of it is left.

    Example:
        >>> with replaced(Path("embeddings")) as new:
        ...     (new / "embeddings.npz").write_bytes(content)
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}-"
        ) as scratch,
        writing(folder),
    ):
        new, old = Path(scratch, "new"), Path(scratch, "old")
        new.mkdir()
        yield new
        old.mkdir()
        folder.mkdir(exist_ok=True)
        # A table is there throughout: without one, `require_own` would not
        # know the folder again.
        made = {path.name for path in new.iterdir()}
        tables = made & set(_TABLES)
        for name in (PROJECTOR, CLUSTERS):
            if (folder / name).exists():
                os.replace(folder / name, old / name)
        for name in (*sorted(tables), *sorted(made - tables)):
            os.replace(new / name, folder / name)
        for name in set(_TABLES) - tables:
            (folder / name).unlink(missing_ok=True)


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
    with replacing(path) as partial:
        if path.suffix == ".parquet":
            table = _table(embeddings)
            pq.write_table(
                table.replace_schema_metadata({"dfk": metadata}), partial
            )
            return
        arrays = embeddings.columns | {"embedding": embeddings.values}
        if embeddings.clusters is not None:
            arrays["cluster"] = embeddings.clusters
        np.savez(partial, **arrays, dfk=np.array(metadata))


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


def write_projector(
    folder: Path, embeddings: Embeddings, thumbnails: np.ndarray
) -> None:
    """Writes what `tensorboard --logdir FOLDER` shows as Projector.

    Args:
        folder: is made.
        embeddings: the points, with what is known of them.
        thumbnails: uint8 `[N, S, S, 3]`, drawn in their place.

    Example:
        >>> write_projector(Path("out/projector"), embeddings, thumbnails)

    Reference:
        Smilkov et al., "Embedding Projector: Interactive Visualization and
        Interpretation of Embeddings", 2016.
    """
    folder.mkdir()
    np.savetxt(
        folder / "tensors.tsv", embeddings.values, fmt="%.7g", delimiter="\t"
    )
    _write_metadata(folder / "metadata.tsv", embeddings)
    side = _write_sprite(folder / "sprite.png", thumbnails)
    config = projector.ProjectorConfig()
    entry = config.embeddings.add()
    # No colon: TensorBoard reads one as a part of a checkpoint's name.
    entry.tensor_name = Path(embeddings.model).name
    entry.tensor_path = "tensors.tsv"
    entry.metadata_path = "metadata.tsv"
    entry.sprite.image_path = "sprite.png"
    entry.sprite.single_image_dim.extend([side, side])
    projector.visualize_embeddings(str(folder), config)


def _write_metadata(path: Path, embeddings: Embeddings) -> None:
    """The columns that hold anything, in a tab-separated table."""
    columns = dict(embeddings.columns)
    if embeddings.clusters is not None:
        columns["cluster"] = embeddings.clusters.astype(str)
    shown = [
        name
        for name in ("id", "cluster", *TEXTS[2:])
        if name == "id" or (name in columns and np.any(columns[name] != ""))
    ]
    # Where there is one column, TensorBoard reads no header.
    lines = ["\t".join(shown)] if len(shown) > 1 else []
    for row in zip(*(columns[name] for name in shown), strict=True):
        lines.append("\t".join(" ".join(text.split()) for text in row))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_sprite(path: Path, thumbnails: np.ndarray) -> int:
    """Lays thumbnails out row by row in a square; returns their side."""
    columns = math.ceil(math.sqrt(len(thumbnails)))
    side = min(thumbnails.shape[1], _LARGEST_SPRITE // columns)
    sprite = Image.new("RGB", (columns * side, columns * side))
    for number, pixels in enumerate(thumbnails):
        row, column = divmod(number, columns)
        image = Image.fromarray(pixels).resize((side, side))
        sprite.paste(image, (column * side, row * side))
    sprite.save(path)
    return side
