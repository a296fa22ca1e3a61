"""What callers hand in as images, and its encoded form."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Union

from dfk.errors import UserError
from dfk.prediction.transcode import DAMAGED, to_png, transcoded

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

Image = Union[str, Path, bytes, BinaryIO, "PIL.Image.Image", "np.ndarray"]

# The largest image that is decoded at all has 64 million pixels, with 16 bits
# and alpha 512 MiB if nothing is compressed.
LARGEST = 1 << 29


class Encoded(NamedTuple):
    """An image's bytes, or why there are none.

    Args:
        name: its path as it was given; None of what has none.
        data: the encoded image; empty if there is an error.
        error: why it could not be read, or None.
        note: what was changed to read it, or None.
    """

    name: str | None
    data: bytes
    error: str | None = None
    note: str | None = None


def each(images: Image | Iterable[Image]) -> Iterator[Image]:
    """Gives images one by one, also of a single image or of a batch.

    Args:
        images: one image; many, as a list or a generator; or an array
            `[N, H, W, 3]`.

    Yields:
        Single images, not yet looked at.

    Example:
        >>> list(each("face.jpg"))
        ['face.jpg']
    """
    kinds = str | Path | bytes | bytearray | memoryview
    if isinstance(images, kinds) or _is_one(images):
        yield images
        return
    try:
        found = iter(images)
    except TypeError as error:
        raise _no_image(images) from error
    yield from found


def encoded(image: Image) -> Encoded:
    """Reads a file, or encodes pixels as PNG, without any loss.

    Args:
        image: the path of a file; an encoded image; an open binary file; an
            image of Pillow, which is turned upright; or RGB pixels,
            `[H, W, 3]` in 0..255.

    Returns:
        Its bytes, or the error of a file that cannot be read.

    Raises:
        UserError: what no image is: pixels of another shape or range, or an
            object of another type.

    Example:
        >>> encoded("gone.jpg").error
        'cannot be opened: No such file or directory'
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return _limited(None, bytes(image))
    if isinstance(image, str | Path):
        return _file(str(image))
    if hasattr(image, "read"):
        name = getattr(image, "name", None)
        return _read(image, name if isinstance(name, str) else None)
    if hasattr(image, "convert"):
        return _of_pillow(image)
    if hasattr(image, "__array__"):
        return Encoded(None, _png_of_pixels(image))
    raise _no_image(image)


def _is_one(images: Any) -> bool:
    """Whether something that could be iterated is a single image."""
    shape = getattr(images, "shape", None)
    if shape is not None:
        return len(shape) != 4
    return any(hasattr(images, name) for name in ("read", "convert"))


def _file(name: str) -> Encoded:
    try:
        with open(name, "rb") as file:
            return _read(file, name)
    except (OSError, ValueError) as error:
        return _unopened(name, error)


def _read(file: BinaryIO, name: str | None) -> Encoded:
    try:
        data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        return _unopened(name, error)
    if isinstance(data, str):
        raise UserError("A file of text was passed: open it with mode 'rb'.")
    return _limited(name, data)


def _of_pillow(image: "PIL.Image.Image") -> Encoded:
    name = getattr(image, "filename", None) or None
    try:
        return Encoded(name, to_png(image))
    # Pillow reads pixels when they are first needed.
    except DAMAGED as error:
        return _unopened(name, error)


def _unopened(name: str | None, error: Exception) -> Encoded:
    reason = getattr(error, "strerror", None) or str(error)
    return Encoded(name, b"", f"cannot be opened: {reason}")


def _limited(name: str | None, data: bytes) -> Encoded:
    if len(data) > LARGEST:
        reason = f"is too large: it has more than {LARGEST >> 20} MiB"
        return Encoded(name, b"", reason)
    try:
        readable, note = transcoded(data)
        return Encoded(name, readable, note=note)
    except UserError as error:
        return Encoded(name, b"", str(error))


def _png_of_pixels(pixels: "np.ndarray") -> bytes:
    import numpy as np
    import PIL.Image

    pixels = np.asarray(pixels)
    received = f"Received: {pixels.dtype} of the shape {pixels.shape}."
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UserError(
            "Pixels are passed as [height, width, 3], or [N, height, width, "
            f"3], RGB, with the channels last. {received}"
        )
    if 0 in pixels.shape:
        raise UserError(f"An image without pixels was passed. {received}")
    if pixels.dtype != np.uint8:
        low, high = pixels.min(), pixels.max()
        # Of pixels in 0..1 the largest is 1 at most; NaN fails here as well.
        if not (low >= 0 and 1 < high <= 255):
            raise UserError(
                "Pixels are RGB values in 0..255: scale them to that range. "
                f"Received: {pixels.dtype} from {low} to {high}."
            )
        pixels = pixels.round().astype("uint8")
    return to_png(PIL.Image.fromarray(np.ascontiguousarray(pixels)))


def _no_image(received: Any) -> UserError:
    return UserError(
        "An image is a path, bytes, an open file, an image of Pillow, or an "
        "array of RGB pixels; several are a list of these. Received: "
        f"{type(received).__name__}."
    )
