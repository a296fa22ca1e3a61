"""Finds the segments of a JPEG and the chunks of a PNG or WebP.

It is done in TensorFlow operations, since it happens inside the served graph.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# So many bytes tell what a segment is.
_HEAD = 12
# A photograph has some dozens; a hostile file may have millions.
_MOST = 2048


class Format(NamedTuple):
    """How a format divides its files into segments.

    Args:
        signature: how a file begins.
        start: where its first segment begins, in bytes.
        header: the bytes of a segment before its content.
        length: from the first bytes of a segment, int64 `[12]`, to its length
            in bytes; not positive where no other segment can follow.
    """

    signature: bytes
    start: int
    header: int
    length: Callable[[tf.Tensor], tf.Tensor]


def find(
    image_bytes: tf.Tensor,
    form: Format,
    is_wanted: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Finds the first segment of a kind.

    Args:
        image_bytes: string scalar, an encoded image.
        form: the format to read it as.
        is_wanted: says of the first bytes of a segment, int64 `[12]` with
            zeros behind the end of the file, whether it is the one.

    Returns:
        int64 scalar: where the content of that segment begins, in bytes. It
        is -1 where there is none, or the image has another format.

    Example:
        >>> is_exif = lambda head: head[1] == 0xE1
        >>> find(tf.io.read_file("phone.jpg"), JPEG, is_exif)
        <tf.Tensor: shape=(), dtype=int64, numpy=24>
    """
    signature = tf.strings.substr(image_bytes, 0, len(form.signature))
    end = tf.cast(tf.strings.length(image_bytes), tf.int64)
    start = tf.where(
        signature == form.signature, tf.constant(form.start, tf.int64), end
    )

    def step(place, _):
        head = read(image_bytes, place, _HEAD)
        length = form.length(head)
        found = tf.where(is_wanted(head), place + form.header, -1)
        following = tf.where(length > 0, place + length, end)
        return tf.minimum(following, end), tf.minimum(found, end)

    _, found = tf.while_loop(
        lambda place, found: (place < end) & (found < 0),
        step,
        (start, tf.constant(-1, tf.int64)),
        maximum_iterations=_MOST,
    )
    return found


def read(image_bytes: tf.Tensor, place: tf.Tensor, count: int) -> tf.Tensor:
    """Reads bytes as numbers.

    Args:
        image_bytes: string scalar.
        place: integer scalar from 0 to its length: where to begin.
        count: how many bytes to read.

    Returns:
        int64 `[count]`, with zeros behind the end.
    """
    part = tf.strings.substr(image_bytes, place, count)
    numbers = tf.io.decode_raw(part, tf.uint8, fixed_length=count)
    return tf.cast(numbers, tf.int64)


def number(numbers: tf.Tensor, little_endian: bool = False) -> tf.Tensor:
    """Reads the bytes on the last axis, int64, as one unsigned number."""
    weights = [1 << 8 * place for place in range(numbers.shape[-1])]
    if not little_endian:
        weights.reverse()
    return tf.reduce_sum(numbers * weights, axis=-1)


def _jpeg_length(head: tf.Tensor) -> tf.Tensor:
    """0 at the first scan, and at a marker that has no place before it."""
    marker, size = head[1], number(head[2:4])
    has_size = (marker >= 0xC0) & ((marker < 0xD0) | (marker > 0xDA))
    length = tf.where(has_size & (size >= 2), size + 2, 0)
    # Any number of bytes 0xFF may stand before a marker.
    length = tf.where(marker != 0xFF, length, 1)
    return tf.where(head[0] == 0xFF, length, 0)


def _png_length(head: tf.Tensor) -> tf.Tensor:
    return number(head[:4]) + 12


def _webp_length(head: tf.Tensor) -> tf.Tensor:
    """It is padded to an even number."""
    size = number(head[4:8], little_endian=True)
    return size + size % 2 + 8


JPEG = Format(b"\xff\xd8\xff", 2, 4, _jpeg_length)
PNG = Format(b"\x89PNG\r\n\x1a\n", 8, 8, _png_length)
WEBP = Format(b"RIFF", 12, 8, _webp_length)
