"""Faces in an image: where they are, and their crops."""

import dataclasses
import functools
import io
import threading
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from dfk.images import decode

# In FFHQ's aligned photographs, and so in Kaggle's set, MTCNN's box takes up
# 0.73 of the height and its centre lies 0.05 below the image's.
MARGIN = 0.36
_RISE = 0.05
# The side of the window of MTCNN's first stage, in pixels.
_SMALLEST = 12
# Larger images are shrunk to this side first, since the search takes time and
# memory by the pixel. Faces that fill less than a fiftieth of it are lost.
_LARGEST = 1600
# As data sets of faces store theirs: Kaggle's set, and all that the built-in
# detector was trained on. JPEG's quality is Pillow's own.
_STORED_SIDES = (224, 256)
_STORED_QUALITY = 75
_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Face:
    """One face in an image.

    Args:
        box: `(x, y, width, height)` in pixels; `x, y` is the upper left.
        confidence: MTCNN's probability that this is a face, 0..1.
        keypoints: `(x, y)` in pixels of the left eye, right eye, nose, left
            and right corner of the mouth; left and right as the viewer sees.
    """

    box: tuple[int, int, int, int]
    confidence: float
    keypoints: tuple[tuple[float, float], ...]

    def moved(self, x: int, y: int) -> "Face":
        """The same face in an image whose origin is at `-x, -y`."""
        left, top, width, height = self.box
        return dataclasses.replace(
            self,
            box=(left + x, top + y, width, height),
            keypoints=tuple((a + x, b + y) for a, b in self.keypoints),
        )


def find_faces(pixels: np.ndarray) -> list[Face]:
    """Finds the faces of an image with MTCNN.

    Args:
        pixels: uint8 `[H, W, 3]`, RGB.

    Returns:
        The faces, the most certain first; none if the image shows none.

    Example:
        >>> find_faces(photograph)[0].box
        (54, 61, 92, 117)

    Reference:
        Zhang et al., "Joint Face Detection and Alignment using Multi-task
        Cascaded Convolutional Networks", 2016.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < _SMALLEST:
        return []
    scale = min(1.0, _LARGEST / max(height, width))
    if scale < 1:
        size = [round(height * scale), round(width * scale)]
        pixels = tf.image.resize(pixels, size, antialias=True).numpy()
    found = [_face(answer, scale) for answer in _mtcnn().detect_faces(pixels)]
    return sorted(found, key=lambda face: -face.confidence)


def crop_face(
    pixels: np.ndarray, face: Face, margin: float = MARGIN
) -> np.ndarray:
    """Crops a square with the whole head from an image.

    Args:
        pixels: uint8 `[H, W, 3]`.
        face: a face in it.
        margin: how much longer the square's side is than the longer side of
            the face's box, as a share of the latter. The default makes crops
            like those of FFHQ.

    Returns:
        uint8 `[S, S, 3]` at the image's own resolution.
    """
    left, top, side = crop_square(face, *pixels.shape[:2], margin)
    return pixels[top : top + side, left : left + side]


def crop_square(
    face: Face, height: int, width: int, margin: float = MARGIN
) -> tuple[int, int, int]:
    """The square around a face that `crop_face` crops, inside the image.

    At a border it is moved inwards, and it is never larger than the image.

    Args:
        face: a face.
        height: the image's height in pixels.
        width: the image's width in pixels.
        margin: as for `crop_face`.

    Returns:
        `(left, top, side)` in pixels.
    """
    x, y, w, h = face.box
    side = max(w, h) * (1 + margin)
    left, top = x + w / 2 - side / 2, y + h / 2 - side * (0.5 + _RISE)
    side = max(1, min(round(side), height, width))
    return (
        min(max(round(left), 0), width - side),
        min(max(round(top), 0), height - side),
        side,
    )


def stored_jpeg(pixels: np.ndarray) -> bytes:
    r"""Encodes the crop of a face as data sets of faces store theirs.

    A detector learns how its training pictures were resized and compressed
    along with what they show, and photographs come in every size. Without this,
    the built-in detector found nearly all of them unlike its training pictures.

    Args:
        pixels: uint8 `[H, W, 3]`, a crop or a picture that is one.

    Returns:
        A JPEG. One whose shorter side is not of 224 to 256 pixels is enlarged
        or reduced to 256.

    Example:
        >>> stored_jpeg(crop_face(photograph, find_faces(photograph)[0]))[:2]
        b'\xff\xd8'
    """
    picture = Image.fromarray(pixels)
    smallest, side = _STORED_SIDES
    shorter = min(picture.size)
    if not smallest <= shorter <= side:
        size = [round(side * length / shorter) for length in picture.size]
        picture = picture.resize(size, Image.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_STORED_QUALITY)
    return file.getvalue()


def face_crops(image_bytes: bytes) -> list[tuple[Face, bytes]]:
    """Finds the faces of an encoded image and crops them.

    Args:
        image_bytes: the image, in a format that `dfk.images.decode` reads.

    Returns:
        Each face and its crop as PNG, the most certain face first.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image.
    """
    pixels = decode.read(image_bytes).numpy()
    # As PNG, so that no second lossy compression changes the pixels.
    return [
        (face, tf.io.encode_png(crop_face(pixels, face)).numpy())
        for face in find_faces(pixels)
    ]


def _face(answer: dict[str, Any], scale: float) -> Face:
    points = answer["keypoints"]
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    return Face(
        box=tuple(round(float(value) / scale) for value in answer["box"]),
        confidence=float(answer["confidence"]),
        keypoints=tuple(
            tuple(float(value) / scale for value in points[name])
            for name in names
        ),
    )


def _mtcnn():
    # Several threads may need it first at the same time.
    with _LOADING:
        return _loaded_mtcnn()


@functools.cache
def _loaded_mtcnn():
    from mtcnn import MTCNN

    finder = MTCNN()
    for stage in finder.stages:
        model = stage.model
        images = tf.TensorSpec([None, None, None, 3], model.compute_dtype)
        # Layer by layer, Python would take most of the time, and keep other
        # threads waiting.
        model.call = tf.function(model.call, [images])
    return finder
