"""Images that a detector does not read as they are, made into PNG.

It is a client's work: what a telephone stores (HEIC), AVIF, the first frame of
animations, and colours that are not sRGB, which a detector would take for other
ones.
"""

import io
import struct
from typing import TYPE_CHECKING, NamedTuple

from dfk.errors import UserError
from dfk.images import MAX_PIXELS

if TYPE_CHECKING:
    import PIL.Image

_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
# What marks an animation, in WebP and PNG.
_ANIMATIONS = (b"ANIM", b"acTL")
# Names of what marks a colour profile, in JPEG, PNG and WebP.
_PROFILES = (b"ICC_PROFILE", b"iCCP", b"ICCP")
# A profile stands before the pixels, and after what a telephone notes.
_HEADER = 1 << 20
# What Pillow and its plugins raise of a damaged image, when they open it or
# when its pixels are first needed.
DAMAGED = (
    *(OSError, ValueError, SyntaxError, EOFError, RuntimeError),
    struct.error,
)
_NO_HEIC = (
    "is HEIC: install what reads it with `pip install pillow-heif`, or pass a "
    "JPEG"
)


class Transcoded(NamedTuple):
    """An encoded image that a detector reads.

    Args:
        data: the encoded image.
        note: what was changed, or None.
    """

    data: bytes
    note: str | None = None


def transcoded(data: bytes) -> Transcoded:
    r"""Makes a PNG of an image that a detector does not read as it is.

    Args:
        data: an encoded image, or anything else.

    Returns:
        A PNG, upright and in sRGB, of HEIC, AVIF, images with another colour
        profile, and the first frame of animated WebP and PNG; else `data`
        itself.

    Raises:
        UserError: why it cannot be read, as the end of a sentence.

    Example:
        >>> transcoded(Path("IMG_0001.HEIC").read_bytes()).note
        'read from HEIC'
    """
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in _HEIC:
        _register_heic()
    if brand in _HEIC | _AVIF:
        name = "HEIC" if brand in _HEIC else "AVIF"
        return Transcoded(_png_of(data), f"read from {name}")
    header = data[:_HEADER]
    if any(name in header for name in (*_ANIMATIONS, *_PROFILES)):
        return _still_in_srgb(data)
    return Transcoded(data)


def to_png(image: "PIL.Image.Image") -> bytes:
    """Encodes an image of Pillow, upright and in sRGB.

    Args:
        image: of any mode.
    """
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    image = _converted(upright) or upright
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    file = io.BytesIO()
    # To compress more takes ten times as long.
    image.save(file, "PNG", compress_level=1, icc_profile=None)
    return file.getvalue()


def _register_heic() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise UserError(_NO_HEIC) from error
    pillow_heif.register_heif_opener()


def _png_of(data: bytes) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return to_png(image)
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise UserError(f"cannot be decoded: {error}") from error


def _still_in_srgb(data: bytes) -> Transcoded:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                # The detector itself refuses or reduces it.
                return Transcoded(data)
            frames = getattr(image, "n_frames", 1)
            # Of a GIF or TIFF, a detector says why it reads none.
            if frames > 1 and image.format in ("WEBP", "PNG"):
                note = f"the first of {frames} frames"
                return Transcoded(to_png(image), note)
            if not _is_srgb(image):
                # Upright first: what is converted has no EXIF note any more.
                converted = _converted(ImageOps.exif_transpose(image))
                if converted is not None:
                    note = "colours converted to sRGB"
                    return Transcoded(to_png(converted), note)
    # Pillow is stricter than the detector, which may still read it.
    except (*DAMAGED, Image.DecompressionBombError):
        pass
    return Transcoded(data)


def _is_srgb(image: "PIL.Image.Image") -> bool:
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA"):
        return True
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return "srgb" in ImageCms.getProfileDescription(opened).lower()
    except (OSError, ImageCms.PyCMSError):
        return True


def _converted(image: "PIL.Image.Image") -> "PIL.Image.Image | None":
    """In sRGB; None where it is so already, or its profile cannot be used."""
    from PIL import ImageCms

    if _is_srgb(image):
        return None
    try:
        return ImageCms.profileToProfile(
            image,
            io.BytesIO(image.info["icc_profile"]),
            ImageCms.createProfile("sRGB"),
        )
    except ImageCms.PyCMSError:
        return None
