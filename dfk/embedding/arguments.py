"""Checks what a command line names, before TensorFlow is imported."""

from collections.abc import Sequence
from pathlib import Path

from dfk.errors import UserError

_BUILDER = "real_fake_faces"


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
        and not Path(arguments[0]).exists()
    )


def check(arguments: Sequence[str]) -> None:
    """Refuses paths that lead to nothing.

    Args:
        arguments: paths of files and folders, or one data set.

    Raises:
        UserError: there are none, or one of them leads to nothing.

    Example:
        >>> check(["photographs", "photo.jpg"])
    """
    if not arguments:
        raise UserError(
            "No picture was named: pass files, folders, or a data set such as "
            f"{_BUILDER}/sample."
        )
    if is_dataset(arguments):
        return
    for argument in arguments:
        if not Path(argument).expanduser().exists():
            raise UserError(
                f"No file or folder {argument}: pass pictures, folders of "
                f"them, or a data set such as {_BUILDER}/sample."
            )
