"""How an image file was written: size, JPEG tables, format, metadata."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin

from dfk.images.headers import opened

# The sum of the luminance table of the JPEG standard (ITU-T T.81, table K.1);
# encoders scale it by their quality.
_STANDARD_SUM = 3689

SIGNALS = ("image size", "file size", "JPEG encoding", "format", "metadata")

Columns = dict[str, np.ndarray]


def columns(paths: Sequence[Path]) -> dict[str, Columns]:
    """Reads the headers of image files.

    Args:
        paths: readable images.

    Returns:
        For each of `SIGNALS` its columns `[N]`: numbers, or strings. Where a
        file has no such value, it is NaN or `none`.

    Example:
        >>> columns([Path("face.jpg")])["JPEG encoding"]["quality"]
        array([75.])
    """
    rows = [_describe(path) for path in paths]
    return {
        signal: {
            name: _column([row[signal].get(name) for row in rows])
            for name in dict.fromkeys(
                name for row in rows for name in row[signal]
            )
        }
        for signal in SIGNALS
    }


def _column(values: list[float | str | None]) -> np.ndarray:
    is_text = any(isinstance(value, str) for value in values)
    absent = "none" if is_text else math.nan
    return np.array([absent if value is None else value for value in values])


def _describe(path: Path) -> dict[str, dict[str, float | str]]:
    size = path.stat().st_size
    image = opened(path)
    if image is None:
        found = ({}, {"bytes": size}, {}, {"suffix": path.suffix}, {})
        return dict(zip(SIGNALS, found, strict=True))
    with image:
        width, height = image.size
        found = (
            {"width": width, "height": height},
            {"bytes": size, "bits per pixel": 8 * size / (width * height)},
            _jpeg(image),
            {
                "format": str(image.format),
                "mode": image.mode,
                "suffix": path.suffix,
            },
            _metadata(image),
        )
    return dict(zip(SIGNALS, found, strict=True))


def _jpeg(image: Image.Image) -> dict[str, float]:
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return {}
    tables = image.quantization
    found = {
        "quality": _quality(tables.get(0, ())),
        "quantisation tables": len(tables),
        "chroma subsampling": JpegImagePlugin.get_sampling(image),
        "progressive": "progressive" in image.info,
    }
    for number, table in tables.items():
        for place, step in enumerate(table):
            found[f"table {number}, step {place}"] = step
    return {name: float(value) for name, value in found.items()}


def _quality(luminance: Sequence[int]) -> float:
    """The quality setting with which libjpeg writes such a table."""
    scale = 100 * sum(luminance) / _STANDARD_SUM
    if not scale:
        return math.nan
    return round((200 - scale) / 2 if scale <= 100 else 5000 / scale)


def _metadata(image: Image.Image) -> dict[str, float | str]:
    info = image.info
    markers = [marker for marker, _ in getattr(image, "applist", ())]
    return {
        "EXIF bytes": len(info.get("exif", b"")),
        "ICC profile bytes": len(info.get("icc_profile") or b""),
        "XMP bytes": len(info.get("xmp", b"")),
        "comment bytes": len(info.get("comment", b"")),
        "resolution": str(info.get("dpi")),
        "entries": " ".join(sorted(map(str, info))),
        "JPEG markers": " ".join(markers),
    }
