"""How often a verdict changes when the same picture is stored in another way.

    python benchmarks/stability.py FOLDER... [--limit=100] [--model=default]

Each FOLDER has pictures in `{real,fake}/*`, such as the test part of a data
set. Of each, so many reals and fakes are predicted as they are and as variants:
compressed again, rescaled, mirrored, shifted by a twentieth, and with
`crop=face` in place of the whole picture. Prints a Markdown table: the share of
verdicts that change, by folder and on average, and in brackets of those that
flip between `real` and `fake`.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image, ImageOps

import dfk
from dfk import cli
from dfk.data.folders import LABELS, ImageFolder
from dfk.prediction.predictor import Predictor
from dfk.progress import track

_LIMIT = flags.DEFINE_integer(
    "limit", 100, "So many pictures of each class.", lower_bound=1
)
_MODEL = flags.DEFINE_string("model", "default", "The detector.")
_SHIFT = 0.05


def _stored(form: str, **options) -> Callable[[Image.Image], bytes]:
    def store(image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, form, **options)
        return file.getvalue()

    return store


_png = _stored("PNG")


def _scaled(factor: float) -> Callable[[Image.Image], bytes]:
    def scale(image: Image.Image) -> bytes:
        size = [round(factor * side) for side in image.size]
        return _png(image.resize(size, Image.LANCZOS))

    return scale


def _shifted(image: Image.Image) -> bytes:
    left, top = (round(_SHIFT * side) for side in image.size)
    return _png(image.crop((left, top, *image.size)))


VARIANTS = {
    "JPEG 95": _stored("JPEG", quality=95),
    "JPEG 80": _stored("JPEG", quality=80),
    "JPEG 60": _stored("JPEG", quality=60),
    "WebP 80": _stored("WEBP", quality=80),
    "half the size": _scaled(0.5),
    "twice the size": _scaled(2),
    "mirrored": lambda image: _png(ImageOps.mirror(image)),
    "shifted by 5 %": _shifted,
}
MEAN = "mean of these"
CROPPED = "crop=face, not none"


def verdicts(
    detector: Predictor, paths: list[Path]
) -> dict[str, list[tuple[str, str]]]:
    """The verdicts of pictures before and after each change."""

    def ask(name: str, images: list, crop: str = "auto") -> list[str]:
        predictions = track(detector.stream(images, crop), name, len(images))
        return [prediction.verdict for prediction in predictions]

    found = {
        CROPPED: zip(
            ask("none", paths, "none"), ask("face", paths, "face"), strict=True
        )
    }
    before = ask("as is", paths)
    for name, variant in VARIANTS.items():
        images = []
        for path in paths:
            with Image.open(path) as image:
                images.append(variant(image.convert("RGB")))
        found[name] = zip(before, ask(name, images), strict=True)
    found = {name: list(pairs) for name, pairs in found.items()}
    return found | {MEAN: [p for name in VARIANTS for p in found[name]]}


def share(pairs: list[tuple[str, str]], flips: bool = False) -> float:
    """Of pairs of verdicts, those that differ, or that flip."""
    counted = [
        {"real", "fake"} == set(pair) if flips else pair[0] != pair[1]
        for pair in pairs
    ]
    return float(np.mean(counted))


def cells(found: list[list[tuple[str, str]]]) -> str:
    """The cells of one variant: each folder's, and their mean."""
    shares = [(share(pairs), share(pairs, flips=True)) for pairs in found]
    shares.append(tuple(np.mean(shares, axis=0)))
    texts = [
        f"{changes:.0%}" + (f" ({flips:.1%})" if flips else "")
        for changes, flips in shares
    ]
    return " | ".join(texts) + " |"


def main(argv: list[str]) -> None:
    """Prints the table."""
    detector = dfk.load(_MODEL.value)
    found = {}
    for folder in map(Path, argv[1:]):
        files = ImageFolder(folder).tree()
        paths = []
        for label in LABELS:
            of_label = [file.path for file in files if file.label == label]
            # Spread, since neighbours may be of one person or video.
            step = max(1, len(of_label) // _LIMIT.value)
            paths += of_label[::step][: _LIMIT.value]
        found[f"{'/'.join(folder.parts[-2:])}, {len(paths)}"] = verdicts(
            detector, paths
        )
    print("| variant |", " | ".join(found), "| mean |")
    print("| --- |" + " --- |" * (len(found) + 1))
    for name in (*VARIANTS, MEAN, CROPPED):
        print("|", name, "|", cells([each[name] for each in found.values()]))


if __name__ == "__main__":
    cli.run(main)
