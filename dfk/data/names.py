"""How data sets are named: TFDS names, folders, or several with commas.

Nothing here reads a data set, or needs TensorFlow.
"""

from pathlib import Path


def split(sources: str) -> list[str]:
    """Takes a list of data sets apart at its commas.

    Args:
        sources: names or folders. What is a folder as a whole is one, with
            commas in it or not.

    Returns:
        At least one.

    Example:
        >>> split("faces,real_fake_faces/sample")
        ['faces', 'real_fake_faces/sample']
    """
    if Path(sources).expanduser().is_dir():
        return [sources]
    return [name for name in sources.split(",") if name] or [sources]


def is_folder(dataset: str) -> bool:
    """Whether a data set is named by its folder, be it there or not."""
    return dataset.startswith((".", "/", "~")) or Path(dataset).is_dir()


def name_or_folder(
    dataset: str | None, data_dir: str | None
) -> tuple[str | None, str | None]:
    """The TFDS name and the folder that are meant, of which one may be None.

    Args:
        dataset: a TFDS name, or a folder.
        data_dir: a folder.

    Example:
        >>> name_or_folder("./faces", None)
        (None, './faces')
    """
    if data_dir is None and dataset and is_folder(dataset):
        return None, dataset
    return dataset, data_dir


def absolute(data_dir: str | None) -> str | None:
    """Folders written out, so that however they are spelled they are equal.

    Example:
        >>> absolute("faces/,~/other")
        '/home/me/faces,/home/me/other'
    """
    if not data_dir:
        return None
    return ",".join(str(_resolved(folder)) for folder in split(data_dir))


def short(sources: str) -> str:
    """Data sets in few words, without the folders that they lie in.

    Example:
        >>> short("data/faces,data/other")
        'faces and other'
    """
    return " and ".join(_resolved(source).name for source in split(sources))


def _resolved(folder: str) -> Path:
    return Path(folder).expanduser().resolve()
