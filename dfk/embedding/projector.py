"""A log for TensorBoard's projector, which turns embeddings into a cloud."""

import math
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.plugins import projector

from dfk.embedding.store import TEXTS, Embeddings

# Browsers refuse larger textures than this many pixels a side.
_LARGEST_SPRITE = 8192


def write(folder: Path, embeddings: Embeddings, thumbnails: np.ndarray) -> None:
    """Writes what `tensorboard --logdir FOLDER` shows as Projector.

    Args:
        folder: is made.
        embeddings: the points, with what is known of them.
        thumbnails: uint8 `[N, S, S, 3]`, drawn in their place.

    Example:
        >>> write(Path("embeddings/projector"), embeddings, thumbnails)

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
    """One column at least two: a single one must have no header."""
    columns = dict(embeddings.columns)
    if embeddings.clusters is not None:
        columns["cluster"] = embeddings.clusters.astype(str)
    shown = [
        name
        for name in ("id", "cluster", *TEXTS[2:])
        if name == "id" or (name in columns and np.any(columns[name] != ""))
    ]
    # TensorBoard takes the first line for data where there is one column.
    lines = ["\t".join(shown)] if len(shown) > 1 else []
    for row in zip(*(columns[name] for name in shown), strict=True):
        lines.append("\t".join(" ".join(text.split()) for text in row))
    path.write_text("\n".join(lines) + "\n")


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
