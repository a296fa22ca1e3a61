"""Corruptions of images as they happen in the world, at fixed severities.

An image is corrupted as the detector gets it: after decoding, cropping and
resizing to the detector's size. This is the hardest case, since no later
shrinking hides the corruption. It is also the only definition that works the
same for a folder of large files and for a data set of small squares. Numbers
are therefore only comparable between detectors of one image size.

Reference:
    Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common
    Corruptions and Perturbations", ICLR 2019: noises, blur, contrast and
    JPEG follow its types, at levels like those of their CIFAR-10-C for small
    images. The others are ours, after what happens to portraits that people
    share.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

# How far a screenshot enlarges an image, how much of its side is lost at each
# end when it is cropped by hand, and the JPEG quality of the result.
_ZOOM = (1.1, 2.0)
_CROP_LOSS = 0.03
_SCREENSHOT_QUALITY = 80
# Each social network shrinks an image to this share of its side.
_SOCIAL_SCALE = 0.8

_Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """One way in which images get worse, and its severities.

    Args:
        name: such as `jpeg`.
        unit: of the levels.
        levels: from mild to severe.
        change: takes pixels uint8 `[S, S, 3]`, a level and a random generator;
            returns pixels of the same shape and type.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    change: _Change

    def apply(self, pixels: np.ndarray, level: float, image: str) -> np.ndarray:
        """Corrupts one image.

        Randomness depends only on the image's id and the corruption. So
        neither order nor threads matter, and a higher level is more of the
        same noise, the same direction of rotation, and so on.

        Args:
            pixels: uint8 `[S, S, 3]`, RGB in 0..255.
            level: in `unit`, usually one of `levels`.
            image: the image's id, which seeds the random generator.

        Returns:
            uint8 `[S, S, 3]`.

        Example:
            >>> CORRUPTIONS["jpeg"].apply(pixels, 50, "test/ann.png").shape
            (128, 128, 3)
        """
        digest = hashlib.sha256(f"{self.name} {image}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8]))
        return self.change(pixels, level, generator)


def _jpeg(pixels, quality, _):
    """Compressed as JPEG with 4:2:0 chroma subsampling, as is usual."""
    return compressed(pixels, "JPEG", quality)


def _webp(pixels, quality, _):
    """Compressed as lossy WebP, as websites and messengers do."""
    return compressed(pixels, "WEBP", quality)


def _resize(pixels, scale, _):
    """Shrunk for a page or a chat, and enlarged again by whoever saves it."""
    return _resized(_resized(pixels, scale * len(pixels)), len(pixels))


def _blur(pixels, deviation, _):
    """Out of focus, or smoothed by a beauty filter."""
    blurred = ImageFilter.GaussianBlur(deviation)
    return np.asarray(Image.fromarray(pixels).filter(blurred))


def _gaussian_noise(pixels, deviation, generator):
    """The electronic noise of a sensor in poor light."""
    noise = generator.normal(0, deviation, pixels.shape)
    return _to_uint8(pixels / 255 + noise)


def _shot_noise(pixels, photons, generator):
    """The grain of light itself where a sensor catches little of it."""
    return _to_uint8(generator.poisson(pixels / 255 * photons) / photons)


def _brightness(pixels, gain, _):
    """Under- or overexposed, or edited so; what exceeds white is lost."""
    enhanced = ImageEnhance.Brightness(Image.fromarray(pixels)).enhance(gain)
    return np.asarray(enhanced)


def _contrast(pixels, gain, _):
    """Fog, backlight or a faded look: values move towards their mean."""
    enhanced = ImageEnhance.Contrast(Image.fromarray(pixels)).enhance(gain)
    return np.asarray(enhanced)


def _crop(pixels, share, generator):
    """Cropped to a square anywhere in the image, and enlarged."""
    side = len(pixels)
    left, top = generator.uniform(0, side * (1 - share), 2)
    box = (left, top, left + share * side, top + share * side)
    return _resized(pixels, side, box)


def _rotation(pixels, degrees, generator):
    """Taken with a tilted camera, or levelled by hand.

    The corners are filled by mirroring: no program leaves them black, and
    removing them would be a crop as well.
    """
    margin = len(pixels) // 4
    edges = ((margin, margin), (margin, margin), (0, 0))
    wide = Image.fromarray(np.pad(pixels, edges, "reflect"))
    angle = degrees * generator.choice((-1, 1))
    turned = np.asarray(wide.rotate(angle, Image.Resampling.BICUBIC))
    return turned[margin:-margin, margin:-margin]


def _screenshot(pixels, times, generator):
    """Shown enlarged on a screen, cropped by hand, saved as JPEG."""
    side = len(pixels)
    for _ in range(times):
        shown = _resized(pixels, side * generator.uniform(*_ZOOM))
        left, top, right, bottom = np.round(
            generator.uniform(0, _CROP_LOSS, 4) * len(shown)
        ).astype(int)
        cropped = shown[top : len(shown) - bottom, left : len(shown) - right]
        pixels = _resized(
            compressed(cropped, "JPEG", _SCREENSHOT_QUALITY), side
        )
    return pixels


def _social(pixels, quality, _):
    """Shared on two social networks: each shrinks it and saves it as JPEG."""
    side = small = len(pixels)
    for _ in range(2):
        small *= _SOCIAL_SCALE
        pixels = compressed(_resized(pixels, small), "JPEG", quality)
    return _resized(pixels, side)


def compressed(pixels: np.ndarray, form: str, quality: int) -> np.ndarray:
    """Pixels, uint8 `[H, W, 3]`, after a file of form `JPEG` or `WEBP`."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, quality=quality)
    return np.asarray(Image.open(file))


def _resized(
    pixels: np.ndarray,
    side: float,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Resizes to a square; Pillow's filters are antialiased."""
    size = (max(1, round(side)),) * 2
    image = Image.fromarray(pixels)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box))


def _to_uint8(light: np.ndarray) -> np.ndarray:
    return np.round(np.clip(light, 0, 1) * 255).astype(np.uint8)


CORRUPTIONS = {
    corruption.name: corruption
    for corruption in (
        Corruption("jpeg", "quality", (95, 75, 50, 30, 20), _jpeg),
        Corruption("webp", "quality", (90, 60, 30), _webp),
        Corruption(
            "resize", "share of the side", (0.9, 0.75, 0.5, 0.25), _resize
        ),
        Corruption("blur", "pixels", (0.5, 1, 2), _blur),
        Corruption(
            "gaussian_noise",
            "share of white",
            (0.02, 0.05, 0.1),
            _gaussian_noise,
        ),
        Corruption(
            "shot_noise", "photons at white", (500, 200, 50), _shot_noise
        ),
        Corruption("darker", "times the light", (0.8, 0.6, 0.4), _brightness),
        Corruption("brighter", "times the light", (1.2, 1.5, 2), _brightness),
        Corruption(
            "contrast", "times the contrast", (0.75, 0.5, 0.3), _contrast
        ),
        Corruption("crop", "share of the side", (0.95, 0.85, 0.7), _crop),
        Corruption("rotation", "degrees", (2, 5, 10), _rotation),
        Corruption("screenshot", "times", (1, 2, 4), _screenshot),
        Corruption("social", "quality", (85, 70, 50), _social),
    )
}
