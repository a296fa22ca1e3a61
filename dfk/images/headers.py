"""Headers of image files, read by Pillow without decoding the pixels."""

from pathlib import Path

from PIL import Image


def opened(path: Path) -> Image.Image | None:
    """Opens an image's file with Pillow.

    Args:
        path: the file.

    Returns:
        The image, not yet decoded; the caller closes it. None for a file that
        Pillow refuses: it is stricter than TensorFlow's decoder, for example
        with texts and checksums in a PNG.

    Example:
        >>> with opened(Path("face.jpg")) as image:
        ...     image.size
        (128, 128)
    """
    # No pixels are decoded, so that their number is no danger.
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return Image.open(path)
    except (OSError, SyntaxError, ValueError):
        return None
    finally:
        Image.MAX_IMAGE_PIXELS = limit
