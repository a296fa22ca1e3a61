"""Self-contained HTML pages: one file, no network, phone, screen and print."""

import base64
import io
import shlex
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


def portable(paths: Any) -> Any:
    """What a page shows of a path: an absolute one is of this machine only.

    Args:
        paths: one, or several with commas; anything else is left as it is.

    Returns:
        The paths, absolute ones without the folders that they lie in.

    Example:
        >>> portable("/home/me/faces,other/faces")
        'faces,other/faces'
    """
    if isinstance(paths, list):
        return ", ".join(str(portable(path)) for path in paths)
    if not isinstance(paths, str):
        return paths
    return ",".join(
        Path(path).name if Path(path).is_absolute() else path
        for path in paths.split(",")
    )


def portable_command(command: str) -> str:
    """A command whose absolute paths are those of `portable`.

    Example:
        >>> portable_command("dfk.evaluate /runs/a --data_dir=/data/faces")
        'dfk.evaluate a --data_dir=faces'
    """
    parts = []
    for part in shlex.split(command):
        flag, equals, value = "", "", part
        if part.startswith("--"):
            flag, equals, value = part.partition("=")
        parts.append(flag + equals + portable(value))
    return shlex.join(parts)


_TEMPLATES.filters |= {
    "portable": portable,
    "portable_command": portable_command,
}


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


def data_url(pixels: np.ndarray, side: int = 160) -> str:
    """Makes an image that lies in the page itself.

    Args:
        pixels: uint8 `[H, W, 3]`.
        side: larger images are shrunk to it, in pixels.

    Returns:
        A `data:` address for `<img src>`. It is a JPEG: for looking at, not
        for measuring.

    Example:
        >>> data_url(np.zeros([8, 8, 3], "uint8"))[:22]
        'data:image/jpeg;base64'
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    data = base64.b64encode(encoded.getvalue()).decode()
    return f"data:image/jpeg;base64,{data}"
