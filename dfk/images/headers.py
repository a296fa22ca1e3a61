"""What Pillow reads of an image's file without decoding its pixels."""

from pathlib import Path

from PIL import Image


def opened(path: Path) -> Image.Image | None:
    """Opens an image's file with Pillow.

    Args:
        path: the file, to be closed by whoever uses it.

    Returns:
        The image, not yet decoded; None for what Pillow refuses: it is
        stricter, with texts and checksums, than the decoder that all
        detectors share.

    Example:
        >>> with opened(Path("face.jpg")) as image:
        ...     image.size
        (128, 128)
    """
    try:
        return Image.open(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
