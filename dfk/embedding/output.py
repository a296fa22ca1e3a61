"""The folder of embeddings, replaced as a whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dfk.embedding.store import FORMATS
from dfk.errors import UserError

TABLE, PROJECTOR, CLUSTERS = "embeddings", "projector", "clusters"
_TABLES = tuple(f"{TABLE}.{suffix}" for suffix in FORMATS)


def check(folder: Path) -> None:
    """Refuses a folder in which other things than ours could be overwritten.

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
        f"{folder} holds something else than embeddings: pass another "
        "--output_dir."
    )


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Gives an empty folder whose files then take the place of older ones.

    Args:
        folder: where the files go in the end; made if it is missing.

    Yields:
        A folder beside it. After an error nothing of it is left.

    Example:
        >>> with replaced(Path("embeddings")) as new:
        ...     (new / "embeddings.npz").write_bytes(content)
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f".{folder.name}-"
    ) as scratch:
        yield Path(scratch)
        folder.mkdir(exist_ok=True)
        for name in (*_TABLES, PROJECTOR, CLUSTERS):
            _remove(folder / name)
        for made in Path(scratch).iterdir():
            os.replace(made, folder / made.name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
