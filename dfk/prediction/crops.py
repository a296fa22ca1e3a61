"""What of an image is predicted: its faces, or all of it."""

from typing import TYPE_CHECKING, NamedTuple

from dfk.prediction.inputs import Image, encoded
from dfk.prediction.predictions import UNREADABLE

if TYPE_CHECKING:
    from dfk.images.faces import Face

AUTO, FACE, NONE = CROPS = ("auto", "face", "none")
NO_FACE = "no face found"

# What MTCNN is less sure of is rarely a face.
_CONFIDENT = 0.9
# An image is the crop of a face already if the crop that dfk would make of its
# largest face has this share of its shorter side.
_WHOLE = 0.75


class Cropped(NamedTuple):
    """An image as it is scored, or why nothing is.

    Args:
        name: its path as it was given, or None.
        encoded: the encoded images that are to be scored.
        faces: one for each of these; none if the image is taken whole.
        verdict: of an image without any.
        reason: why it is uncertain.
        error: why it cannot be predicted.
        note: what was changed to read it.
    """

    name: str | None
    encoded: list[bytes]
    faces: "tuple[Face, ...]" = ()
    verdict: str | None = None
    reason: str | None = None
    error: str | None = None
    note: str | None = None


def crop(image: Image, how: str) -> Cropped:
    """Reads an image and crops what of it is to be predicted.

    Args:
        image: what `dfk.prediction.inputs.encoded` takes.
        how: `auto`, `face` or `none`, as in `Predictor.predict`.

    Returns:
        The crops of the faces that MTCNN is sure of, the surest first, or the
        whole image, as `dfk.images.faces.stored_jpeg` stores them; with `none`
        the image as it is.

    Raises:
        UserError: it is no image.

    Example:
        >>> len(crop("family.jpg", "auto").faces)
        4
    """
    name, data, error, note = encoded(image)
    if error is not None:
        return Cropped(name, [], verdict=UNREADABLE, error=error)
    whole = Cropped(name, [data])
    found = whole if how == NONE else _faces(name, data, how)
    return found._replace(note=note)


def _faces(name: str | None, data: bytes, how: str) -> Cropped:
    import tensorflow as tf

    from dfk.images import decode, faces

    try:
        pixels = decode.read(data).numpy()
    except tf.errors.InvalidArgumentError:
        # The detector reports these bytes as unreadable.
        return Cropped(name, [data])
    found = [
        face
        for face in faces.find_faces(pixels)
        if face.confidence >= _CONFIDENT
    ]
    if not found:
        return Cropped(name, [], verdict="uncertain", reason=NO_FACE)
    if how == AUTO and _is_crop(found, pixels.shape):
        return Cropped(name, [faces.stored_jpeg(pixels)])
    crops = [faces.stored_jpeg(faces.crop_face(pixels, face)) for face in found]
    return Cropped(name, crops, tuple(found))


def _is_crop(found: "list[Face]", shape: tuple[int, int, int]) -> bool:
    from dfk.images.faces import crop_square

    height, width, _ = shape
    sides = [crop_square(face, height, width)[2] for face in found]
    return max(sides) >= _WHOLE * min(height, width)
