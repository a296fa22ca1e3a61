"""Faces in an image: where they are, and crops that a detector can judge."""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from dfk.images import decode

# In FFHQ's aligned photographs, and so in Kaggle's set, MTCNN's box takes up
# 0.73 of the height and its centre lies 0.05 below the image's.
MARGIN = 0.36
_RISE = 0.05
# Below this the image is smaller than what MTCNN's first stage looks at.
_SMALLEST = 12
# The search takes time and memory by the pixel; faces that fill less than a
# fiftieth of so large an image are not what anybody asks about.
_LARGEST = 1600


@dataclasses.dataclass(frozen=True)
class Face:
    """One face in an image.

    Args:
        box: `(x, y, width, height)` in pixels; `x, y` is the upper left.
        confidence: MTCNN's probability that it is a face, 0..1.
        keypoints: `(x, y)` in pixels of the left eye, right eye, nose, left
            and right corner of the mouth; left and right as seen.
    """

    box: tuple[int, int, int, int]
    confidence: float
    keypoints: tuple[tuple[float, float], ...]

    def moved(self, x: int, y: int) -> "Face":
        """The same face in an image whose origin lies at `-x, -y`."""
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
    """Cuts a square with the whole head out of an image.

    Args:
        pixels: uint8 `[H, W, 3]`.
        face: a face in it.
        margin: what the square's side has beyond the longer side of the
            face's box, as a part of the latter; the default makes crops like
            those of FFHQ.

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


def face_crops(image_bytes: bytes) -> list[tuple[Face, bytes]]:
    """Finds the faces of an encoded image and cuts them out.

    Args:
        image_bytes: the image, in a format that `dfk.images.decode` reads.

    Returns:
        For each face, the most certain first, where it is and its crop as a
        PNG, so that no second compression touches its pixels.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no image.
    """
    pixels = decode.read(image_bytes).numpy()
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


@functools.cache
def _mtcnn():
    from mtcnn import MTCNN

    return MTCNN()
