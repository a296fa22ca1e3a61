"""The image files that a command line names."""

import glob
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dfk.data.folders import ImageFolder
from dfk.errors import UserError
from dfk.files import expanded

STANDARD_INPUT = "-"


def image_paths(arguments: Sequence[str]) -> list[str]:
    """Lists the files that arguments stand for, each once.

    Args:
        arguments: files; folders, with all images below them; patterns such as
            `photos/**/*.jpg`; and `-`, for paths on standard input, one a
            line.

    Returns:
        Paths, in the order of the arguments. A file that is not there is
        among them: it is for the prediction to say so.

    Raises:
        UserError: none was named, or a folder or pattern holds none.

    Example:
        >>> image_paths(["photo.jpg", "album"])
        ['photo.jpg', 'album/1.jpg', 'album/2.jpg']
    """
    found = [path for argument in arguments for path in _paths(argument)]
    if not found:
        raise UserError(
            "No picture was named: pass the paths of image files or folders."
        )
    return list(dict.fromkeys(found))


def _paths(argument: str) -> Iterator[str]:
    if argument == STANDARD_INPUT:
        yield from filter(None, map(str.strip, sys.stdin))
        return
    path = expanded(argument)
    if path.is_dir():
        yield from _below(path)
    elif path.exists() or not glob.has_magic(argument):
        yield str(path)
    else:
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise UserError(
                f"No file matches {argument!r}: check the path, or the pattern."
            )
        for match in map(Path, matches):
            yield from _below(match) if match.is_dir() else [str(match)]


def _below(folder: Path) -> list[str]:
    listed = ImageFolder(folder)
    files = [str(file.path) for file in listed.tree()]
    listed.say_left_out(is_data_set=False)
    if not files:
        raise UserError(
            f"{folder} holds no pictures: pass a folder that holds some, or "
            "the paths of files."
        )
    return files
