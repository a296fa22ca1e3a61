"""Decodes mutated images and prints what became of them, as JSON.

    python tests/images/fuzz.py 10000

It fails where decoding raises anything but the error of an unreadable image,
does not end, changes another image of the batch, or takes too much memory.
Batches of one seed are always the same.
"""

import faulthandler
import io
import itertools
import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from dfk.images import decode

BATCH, SIZE = 32, 32
# Longer than any image may take, in seconds; then the process ends with a
# traceback.
_LIMIT = 120
# What a single image may take by the docstring of `decode.read`, in MiB. Here
# a whole batch is decoded at once.
_MEMORY = 1024
# Numbers at the limits of what a field can hold.
_EXTREMES = (b"\0\0", b"\xff\xff", b"\x7f\xff", b"\xff\x7f", b"\0\1", b"\1\0")


def images() -> list[bytes]:
    """An image of each format and kind that TensorFlow decodes, or refuses."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 7, 3), np.uint8)
    rgb = Image.fromarray(coarse).resize((56, 48))
    rgba = rgb.copy()
    rgba.putalpha(rgb.convert("L"))
    grey, palette, cmyk = map(rgb.convert, ("L", "P", "CMYK"))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [rgba.rotate(90)]}
    wide = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    return [
        _encoded(image, kind, **options)
        for image, kind, options in (
            (rgb, "JPEG", {"exif": exif}),
            (rgb, "JPEG", {"progressive": True, "subsampling": 0}),
            (grey, "JPEG", {"icc_profile": bytes(400)}),
            (cmyk, "JPEG", {}),
            (rgb, "PNG", {"exif": exif}),
            (rgba, "PNG", {}),
            (grey, "PNG", {"transparency": 9}),
            (palette, "PNG", {"transparency": bytes(range(200))}),
            (wide, "PNG", {}),
            (rgb, "WEBP", {"exif": exif}),
            (rgba, "WEBP", {"lossless": True}),
            (rgba, "WEBP", {"icc_profile": bytes(400)}),
            (rgba, "WEBP", frames),
            (rgb, "BMP", {}),
            (rgba, "BMP", {}),
            (grey, "BMP", {}),
            (palette, "BMP", {}),
            (palette, "GIF", {}),
            (rgba, "GIF", frames),
        )
    ]


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def mutated(
    data: bytes, others: list[bytes], rng: np.random.Generator
) -> bytes:
    """An image that was damaged in one to three ways."""
    for _ in range(rng.integers(1, 4)):
        if not data:
            break
        place = rng.integers(len(data))
        head = rng.integers(min(64, len(data)))
        length = rng.integers(1, 40)
        other = others[rng.integers(len(others))]
        flipped = bytearray(data)
        for bit in rng.integers(8 * len(data), size=length):
            flipped[bit // 8] ^= 1 << bit % 8
        extreme = _EXTREMES[rng.integers(len(_EXTREMES))]
        data = [
            bytes(flipped),
            data[:place],
            data[:head] + rng.bytes(4) + data[head + 4 :],
            data[:head] + extreme + data[head + 2 :],
            data[:head] + 2 * extreme + data[head + 4 :],
            data[:place] + extreme + data[place + 2 :],
            data[:place] + data[place + length :],
            data[:place] + 2 * data[place : place + length] + data[place:],
            data[:place] + bytes(length) + data[place + length :],
            data[:place] + other[place:],
        ][rng.integers(10)]
    return data


def main(count: int) -> None:
    """Decodes so many images, and prints the figures."""
    faulthandler.enable()
    originals = images()
    whole = tf.constant([d for d in originals if not decode.why_unreadable(d)])
    # As a model server, a folder and Python decode.
    in_batch = tf.function(
        lambda encoded: decode.decode_batch(encoded, SIZE),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    alone = tf.function(
        lambda encoded: decode.decode(encoded, SIZE),
        input_signature=[tf.TensorSpec([], tf.string)],
    )
    expected = in_batch(whole)[0].numpy()
    reasons, slowest = Counter(), 0.0
    before, start = _memory("VmRSS"), time.monotonic()
    sources = itertools.cycle(originals)
    for number in range(-(-count // BATCH)):
        rng = np.random.default_rng(number)
        broken = [
            mutated(next(sources), originals, rng)
            for _ in range(min(BATCH, count - number * BATCH))
        ]
        faulthandler.dump_traceback_later(_LIMIT, exit=True)
        print("batch", number, file=sys.stderr)
        pixels, readable, why = (
            part.numpy()
            for part in in_batch(tf.concat([broken, whole], axis=0))
        )
        np.testing.assert_array_equal(pixels[len(broken) :], expected)
        for place, data in enumerate(broken):
            begun = time.monotonic()
            try:
                found = alone(tf.constant(data)).numpy()
            except tf.errors.InvalidArgumentError:
                found = None
            slowest = max(slowest, time.monotonic() - begun)
            assert readable[place] == (found is not None), (number, place)
            assert readable[place] == (why[place] == b""), (number, place)
            if found is not None:
                np.testing.assert_array_equal(found, pixels[place])
            reasons[_kind(why[place].decode())] += 1
    faulthandler.cancel_dump_traceback_later()
    memory = _memory("VmHWM") - before
    figures = {
        "images": count,
        "readable": reasons.pop("", 0),
        "unreadable": reasons,
        "seconds": round(time.monotonic() - start),
        "slowest_seconds": round(slowest, 2),
        "memory_mib": memory,
    }
    print(json.dumps(figures, indent=2))
    assert memory < _MEMORY, f"{memory} MiB"


def _kind(reason: str) -> str:
    """A reason without its numbers."""
    return reason.partition(":")[0]


def _memory(name: str) -> int:
    """A line of this process's status, in MiB."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index(f"{name}:") + 1]) >> 10


if __name__ == "__main__":
    main(int(sys.argv[1]))
