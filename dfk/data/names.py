"""How data sets are named: TFDS names, folders, or several with commas.

Nothing here reads a data set, or needs TensorFlow.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from dfk.errors import UserError
from dfk.files import expanded

_BUILDER = "real_fake_faces"


def split(sources: str) -> list[str]:
    """Splits a list of data sets at its commas.

    Args:
        sources: names or folders. A folder whose own name has commas is one.

    Returns:
        At least one.

    Example:
        >>> split("faces,real_fake_faces/sample")
        ['faces', 'real_fake_faces/sample']
    """
    # Unlike `Path`, this takes what is too long for a path.
    if os.path.isdir(expanded(sources)):
        return [sources]
    return [name for name in sources.split(",") if name] or [sources]


def is_folder(dataset: str) -> bool:
    """Whether a name is that of a folder, which need not exist."""
    return dataset.startswith((".", "/", "~")) or os.path.isdir(dataset)


def name_or_folder(
    dataset: str | None, data_dir: str | None
) -> tuple[str | None, str | None]:
    """The TFDS name and the folder of a data set, of which one is None.

    Args:
        dataset: a TFDS name, or a folder; several with commas.
        data_dir: a folder, or several.

    Raises:
        UserError: both are given.

    Example:
        >>> name_or_folder("./faces", None)
        (None, './faces')
    """
    if dataset and data_dir:
        raise UserError(
            "--dataset and --data_dir name different data: pass one of them. "
            f"Received: {dataset} and {data_dir}."
        )
    if dataset and all(map(is_folder, split(dataset))):
        return None, dataset
    return dataset, data_dir


def absolute(data_dir: str | None) -> str | None:
    """Absolute paths of folders, which are equal however they are spelled.

    Example:
        >>> absolute("faces/,~/other")
        '/home/me/faces,/home/me/other'
    """
    if not data_dir:
        return None
    return ",".join(str(_resolved(folder)) for folder in split(data_dir))


def short(sources: str) -> str:
    """The names of data sets, without the folders that they lie in.

    Example:
        >>> short("data/faces,data/other")
        'faces and other'
    """
    return " and ".join(_resolved(source).name for source in split(sources))


def prefixes(sources: Sequence[str]) -> list[str]:
    """What the names of images begin with, of several data sets as one.

    Args:
        sources: the data sets, as `split` gives them.

    Example:
        >>> prefixes(["data/faces", "other/faces"])
        ['1-faces', '2-faces']
    """
    return [
        f"{number}-{Path(source).name}"
        for number, source in enumerate(sources, 1)
    ]


def is_dataset(arguments: Sequence[str]) -> bool:
    """Whether arguments are the TFDS name of a data set rather than paths.

    Args:
        arguments: the command line without its flags.

    Returns:
        True for one name such as `real_fake_faces/sample`, unless that is
        also the path of something.
    """
    return (
        len(arguments) == 1
        and arguments[0].partition("/")[0] == _BUILDER
        and not os.path.exists(arguments[0])
    )


def require_images(arguments: Sequence[str]) -> None:
    """Refuses paths that lead to nothing.

    Args:
        arguments: paths of files and folders, or one data set.

    Raises:
        UserError: there are none, or one of them leads to nothing.

    Example:
        >>> require_images(["photographs", "photo.jpg"])
    """
    if not arguments:
        raise UserError(
            "No picture was named: pass files, folders, or a data set such as "
            f"{_BUILDER}/sample."
        )
    if is_dataset(arguments):
        return
    for argument in arguments:
        if not os.path.exists(expanded(argument)):
            raise UserError(
                f"No file or folder {argument}: pass pictures, folders of "
                f"them, or a data set such as {_BUILDER}/sample."
            )


def _resolved(folder: str) -> Path:
    return expanded(folder).resolve()
