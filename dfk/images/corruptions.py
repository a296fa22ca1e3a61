"""What happens to images in the world, at fixed and seeded severities.

An image is harmed as the detector gets it: after decoding and fitting to the
detector's size. It is the hardest place, since no later shrinking hides the
harm, and the one definition that a folder of large files and a data set of
stored squares share. Numbers are thus only comparable between detectors of
one image size.

Reference:
    Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common
    Corruptions and Perturbations", ICLR 2019: noises, blur, contrast and
    JPEG follow its types, at levels such as their CIFAR-10-C has for small
    images. The others are ours, after what happens to shared portraits.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

# How far a screenshot enlarges an image, how much of its side the hand that
# cuts it out loses at each end, and how the phone stores it.
_ZOOM = (1.1, 2.0)
_SLIP = 0.03
_SCREENSHOT_QUALITY = 80
# Each social network keeps this share of the side it was given.
_SOCIAL_SCALE = 0.8

_Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """One way in which images get worse, and how far it goes.

    Args:
        name: such as `jpeg`.
        unit: what a level counts.
        levels: from mild to severe.
        change: from pixels uint8 `[S, S, 3]`, a level and a random generator
            to pixels of the same shape and type.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    change: _Change

    def apply(self, pixels: np.ndarray, level: float, image: str) -> np.ndarray:
        """Harms one image.

        Chance depends on the image and the corruption alone: neither order
        nor threads matter, and a higher level is more of the same noise, the
        same way to turn, and so on.

        Args:
            pixels: uint8 `[S, S, 3]`, RGB in 0..255.
            level: in `unit`, usually one of `levels`.
            image: the image's id, which seeds what is random.

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
    """Stored again as JPEG with coarse colour (4:2:0), as most programs do."""
    return _stored(pixels, "JPEG", quality)


def _webp(pixels, quality, _):
    """Stored again as lossy WebP, as websites and messengers do."""
    return _stored(pixels, "WEBP", quality)


def _resize(pixels, scale, _):
    """Made small for a page or a chat, and enlarged again by who saves it."""
    return _resized(_resized(pixels, scale * len(pixels)), len(pixels))


def _blur(pixels, deviation, _):
    """Out of focus, or smoothed by a beauty filter."""
    blurred = ImageFilter.GaussianBlur(deviation)
    return np.asarray(Image.fromarray(pixels).filter(blurred))


def _gaussian_noise(pixels, deviation, generator):
    """The electronic noise of a sensor in poor light."""
    noise = generator.normal(0, deviation, pixels.shape)
    return _whole(pixels / 255 + noise)


def _shot_noise(pixels, photons, generator):
    """The grain that light itself has where a sensor catches little of it."""
    return _whole(generator.poisson(pixels / 255 * photons) / photons)


def _brightness(pixels, gain, _):
    """Under- or overexposed, or so edited; what exceeds white is lost."""
    enhanced = ImageEnhance.Brightness(Image.fromarray(pixels)).enhance(gain)
    return np.asarray(enhanced)


def _contrast(pixels, gain, _):
    """Fog, backlight or a faded look: values move towards their mean."""
    enhanced = ImageEnhance.Contrast(Image.fromarray(pixels)).enhance(gain)
    return np.asarray(enhanced)


def _crop(pixels, share, generator):
    """Framed anew: a square from anywhere in the image, enlarged."""
    side = len(pixels)
    left, top = generator.uniform(0, side * (1 - share), 2)
    box = (left, top, left + share * side, top + share * side)
    return _resized(pixels, side, box)


def _rotation(pixels, degrees, generator):
    """Held askew, or levelled by hand.

    What comes in at the corners is mirrored: no program leaves them black,
    and cutting them off would be a crop as well.
    """
    margin = len(pixels) // 4
    edges = ((margin, margin), (margin, margin), (0, 0))
    wide = Image.fromarray(np.pad(pixels, edges, "reflect"))
    angle = degrees * generator.choice((-1, 1))
    turned = np.asarray(wide.rotate(angle, Image.Resampling.BICUBIC))
    return turned[margin:-margin, margin:-margin]


def _screenshot(pixels, times, generator):
    """Shown enlarged on a screen, cut out by hand, stored as JPEG."""
    side = len(pixels)
    for _ in range(times):
        shown = _resized(pixels, side * generator.uniform(*_ZOOM))
        left, top, right, bottom = np.round(
            generator.uniform(0, _SLIP, 4) * len(shown)
        ).astype(int)
        cut = shown[top : len(shown) - bottom, left : len(shown) - right]
        pixels = _resized(_stored(cut, "JPEG", _SCREENSHOT_QUALITY), side)
    return pixels


def _social(pixels, quality, _):
    """Passed through two social networks: each makes it smaller, then JPEG."""
    side = small = len(pixels)
    for _ in range(2):
        small *= _SOCIAL_SCALE
        pixels = _stored(_resized(pixels, small), "JPEG", quality)
    return _resized(pixels, side)


def _stored(pixels: np.ndarray, form: str, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, quality=quality)
    return np.asarray(Image.open(file))


def _resized(
    pixels: np.ndarray,
    side: float,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Resizes to a square, antialiased, as Pillow always does."""
    size = (max(1, round(side)),) * 2
    image = Image.fromarray(pixels)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box))


def _whole(light: np.ndarray) -> np.ndarray:
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
