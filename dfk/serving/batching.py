"""What `batching.config` says of the requests that a model server takes."""

import re
from pathlib import Path

FILE = "batching.config"
# TensorFlow Serving's own, where the file names none.
_DEFAULT = 1000


def max_batch_size(settings: Path) -> int | None:
    """The most images that a request may have.

    The message class of that file is in no package, so only this field of it
    is read.

    Args:
        settings: the folder in which `batching.config` may lie.

    Returns:
        The number, or None without that file: nothing is batched then, and
        nothing limited.

    Example:
        >>> max_batch_size(Path("serving"))
        32
    """
    file = settings / FILE
    if not file.is_file():
        return None
    named = re.search(
        r"^\s*max_batch_size\s*:?\s*{\s*value\s*:\s*(\d+)",
        file.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return int(named[1]) if named else _DEFAULT
