"""Self-blending: fakes that are made from a single genuine photograph.

A face is blended onto itself after small changes. The result shows what every
face swap shows: two different image statistics with a seam between them, but no
trace of a particular generator.
"""

import dataclasses

import cv2
import numpy as np

from dfk.images.faces import Face

# Most blends are opaque, as most face swaps are.
_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Blend:
    """A self-blended image and what it was made of.

    Args:
        image: uint8 `[H, W, 3]`, the fake.
        target: uint8 `[H, W, 3]`, the image into which the face was blended;
            it equals `image` outside the mask.
        mask: float32 `[H, W]`, the weight of the other face at each pixel,
            0..1.
    """

    image: np.ndarray
    target: np.ndarray
    mask: np.ndarray


def self_blend(
    pixels: np.ndarray, face: Face, rng: np.random.Generator
) -> Blend:
    """Blends a face with a slightly changed copy of itself.

    There are two copies: the source gives the face, the target receives it.
    One of them is recoloured, and sharpened or reduced. The source is moved and
    rescaled. A soft mask of the face, deformed elastically, joins both.
    Lengths are relative to the face, so that its resolution does not matter.

    Args:
        pixels: uint8 `[H, W, 3]`, RGB, a genuine photograph.
        face: the face in it.
        rng: the source of all randomness; equal seeds give equal blends.

    Returns:
        The fake, the image it was blended into, and the mask.

    Example:
        >>> fake = self_blend(crop, face, np.random.default_rng(7)).image

    Reference:
        Shiohara & Yamasaki, "Detecting Deepfakes with Self-Blended Images",
        CVPR 2022.
    """
    source, target = pixels, pixels
    if rng.random() < 0.5:
        source = _change(pixels, rng)
    else:
        target = _change(pixels, rng)
    hull = _face_mask(pixels.shape[:2], face, rng)
    motion = _motion(face, rng)
    source = _warp(source, motion, cv2.BORDER_REFLECT_101)
    mask = _warp(_deform(hull, face, rng), motion, cv2.BORDER_CONSTANT)
    mask = _soften(mask, face, rng) * np.float32(rng.choice(_RATIOS))
    weight = mask[..., None]
    image = weight * source + (1 - weight) * target
    return Blend(np.round(image).astype(np.uint8), target, mask)


def _change(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    changed = _recolour(pixels, rng)
    if rng.random() < 0.5:
        return _reduce(changed, rng.uniform(1.5, 2.5))
    return _sharpen(changed, rng.uniform(0.2, 0.5))


def _recolour(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = pixels / np.float32(255)
    if rng.random() < 0.3:
        image = image + rng.uniform(-20, 20, 3).astype(np.float32) / 255
    hsv = cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-4, 4)) % 360
    hsv[..., 1:] = np.clip(hsv[..., 1:] * rng.uniform(0.85, 1.15, 2), 0, 1)
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    contrast, brightness = rng.uniform(0.9, 1.1), rng.uniform(-0.07, 0.07)
    image = (image - 0.5) * contrast + 0.5 + brightness
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _reduce(pixels: np.ndarray, factor: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    reduced = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC)


def _sharpen(pixels: np.ndarray, strength: float) -> np.ndarray:
    blurred = cv2.GaussianBlur(pixels, (0, 0), 1.0)
    return cv2.addWeighted(pixels, 1 + 2 * strength, blurred, -2 * strength, 0)


def _face_mask(
    shape: tuple[int, int], face: Face, rng: np.random.Generator
) -> np.ndarray:
    """The face's outline, filled: float32 `[H, W]`, 0 or 1."""
    x, y, width, height = face.box
    (ax, ay), (bx, by) = face.keypoints[:2]
    tilt = np.degrees(np.arctan2(by - ay, bx - ax))
    oval = cv2.ellipse2Poly(
        (round(x + width / 2), round(y + height / 2)),
        (round(width * 0.48), round(height * 0.5)),
        round(tilt),
        0,
        360,
        6,
    )
    if rng.random() < 0.25:
        oval = oval[oval[:, 1] > min(ay, by) - 0.1 * height]
    points = np.concatenate([oval, np.round(face.keypoints).astype(np.int32)])
    mask = np.zeros(shape, np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 1)
    return mask


def _motion(face: Face, rng: np.random.Generator) -> np.ndarray:
    """An affine map, float64 `[2, 3]`: a small shift and change of scale."""
    x, y, width, height = face.box
    scale = np.exp(rng.uniform(-0.05, 0.05, 2))
    centre = np.array([x + width / 2, y + height / 2])
    shift = rng.uniform(-1, 1, 2) * (0.03 * width, 0.015 * height)
    offset = centre - scale * centre + shift
    return np.column_stack([np.diag(scale), offset])


def _warp(image: np.ndarray, motion: np.ndarray, border: int) -> np.ndarray:
    height, width = image.shape[:2]
    return cv2.warpAffine(
        image,
        motion,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=border,
    )


def _deform(
    mask: np.ndarray, face: Face, rng: np.random.Generator
) -> np.ndarray:
    """Bends a mask elastically (Simard et al., 2003)."""
    height, width = mask.shape
    length = max(1, *face.box[2:])
    field = rng.uniform(-1, 1, (height, width, 2)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), 0.06 * length)
    field *= 0.025 * length / max(field.std(), 1e-6)
    grid = np.stack(
        np.meshgrid(np.arange(width), np.arange(height)), -1
    ).astype(np.float32)
    return cv2.remap(mask, grid + field, None, cv2.INTER_LINEAR)


def _soften(
    mask: np.ndarray, face: Face, rng: np.random.Generator
) -> np.ndarray:
    """Moves a mask's edge inwards and blurs it, each by a random width."""
    length = max(1, *face.box[2:])
    inner = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.01, 0.03) * length)
    inner = (inner > 0.99).astype(np.float32)
    soft = cv2.GaussianBlur(inner, (0, 0), rng.uniform(0.01, 0.05) * length)
    return soft / max(soft.max(), 1e-6)
