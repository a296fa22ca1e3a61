"""Fills the templates beside it, and turns pictures into parts of a page."""

import base64
import io
import os
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

_JPEG_QUALITY = 88

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("dfk.pages"),
    # Markdown is no place for HTML's escapes.
    autoescape=jinja2.select_autoescape(["html"]),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """Fills a template; values are escaped, whatever they hold.

    Args:
        template: a file of `dfk/pages/templates` that extends `base.html`.
        **values: what the template names; it must not name anything else.

    Returns:
        The page.

    Example:
        >>> render("audit.html", record=record, pairs=[])
        '<!doctype html>...'
    """
    return _TEMPLATES.get_template(template).render(**values)


def picture(pixels: np.ndarray, side: int = 160) -> str:
    """Makes a picture that lies in the page itself.

    Args:
        pixels: uint8 `[H, W, 3]`.
        side: larger pictures are shrunk to it, in pixels.

    Returns:
        A `data:` address for `<img src>`. It is a JPEG: for looking at, not
        for measuring.

    Example:
        >>> picture(np.zeros([8, 8, 3], "uint8"))[:22]
        'data:image/jpeg;base64'
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    data = base64.b64encode(encoded.getvalue()).decode()
    return f"data:image/jpeg;base64,{data}"


def write(path: Path, page: str) -> None:
    """Writes a page beside its place, then renames it into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
