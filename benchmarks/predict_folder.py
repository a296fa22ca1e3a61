"""How fast dfk.predict answers a folder of photographs, against a plain loop.

    python benchmarks/predict_folder.py FOLDER [--limit=200] [--model=default]

The plain loop is what most projects have: Pillow, MTCNN, and one
`model.predict` a face. Both see the same photographs with the same detector, in
one process, the plain loop first. Prints photographs a second and their ratio.

With --repeat=N the photographs are predicted N times over, to see whether the
memory of the process grows: after each round its peak is printed.
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

import dfk
from dfk import cli
from dfk.images.faces import MARGIN, Face, crop_square
from dfk.prediction.detector import LoadedDetector
from dfk.prediction.paths import image_paths

_LIMIT = flags.DEFINE_integer(
    "limit", 200, "So many photographs.", lower_bound=1
)
_MODEL = flags.DEFINE_string("model", "default", "The detector.")
_REPEAT = flags.DEFINE_integer(
    "repeat", 0, "Predict all so many times, and print the memory."
)


def plain(loaded: LoadedDetector, paths: list[Path]) -> int:
    """Predicts one photograph after the other; returns how many faces."""
    from mtcnn import MTCNN

    finder, size = MTCNN(), loaded.detector.input_shape[1]
    count = 0
    for path in paths:
        with Image.open(path) as image:
            picture = image.convert("RGB")
        for found in finder.detect_faces(np.asarray(picture)):
            face = Face(tuple(map(int, found["box"])), found["confidence"], ())
            height, width = picture.height, picture.width
            left, top, side = crop_square(face, height, width, MARGIN)
            crop = picture.crop((left, top, left + side, top + side))
            pixels = np.asarray(crop.resize((size, size)), "float32")
            loaded.detector.predict(pixels[None], verbose=0)
            count += 1
    return count


def of_dfk(loaded: LoadedDetector, paths: list[Path]) -> int:
    """Predicts all photographs; returns how many faces."""
    return sum(len(each.faces) for each in loaded.stream(paths, "face"))


def speed(
    predict: Callable[[LoadedDetector, list[Path]], int],
    loaded: LoadedDetector,
    paths: list[Path],
) -> float:
    """Photographs a second, after a first one that builds the graphs."""
    predict(loaded, paths[:1])
    start = time.perf_counter()
    faces = predict(loaded, paths)
    rate = len(paths) / (time.perf_counter() - start)
    print(f"{predict.__name__}: {rate:.2f} photographs/s, {faces} faces")
    return rate


def main(argv: list[str]) -> None:
    """Prints both speeds, and the memory of repeated predictions."""
    paths = list(map(Path, image_paths(argv[1:])))[: _LIMIT.value]
    loaded = dfk.load(_MODEL.value)
    before = speed(plain, loaded, paths)
    after = speed(of_dfk, loaded, paths)
    print(f"ratio {after / before:.2f} over {len(paths)} photographs")
    for number in range(_REPEAT.value):
        of_dfk(loaded, paths)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        done = (number + 1) * len(paths)
        print(f"after {done} photographs: peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    cli.run(main)
