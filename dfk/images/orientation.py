"""The Exif orientation of an image, read and applied in TensorFlow operations.

A phone stores most portraits lying on their side, with a tag that says how to
turn them. Viewers show such an image upright. A detector must see it upright
too, since it was trained on upright faces.

Reference:
    "Exchangeable image file format for digital still cameras: Exif Version
    2.32" (CIPA DC-008-2019), 4.5.4 and 4.6.4.A, the tag `Orientation`; PNG
    (Third Edition), 11.3.3.2 `eXIf`; RFC 9649, 2.7.1.5 `EXIF`.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from dfk.images import segments

# Stands before the Exif data in a JPEG, and in some WebPs.
_NAME = b"Exif\0\0"
# No segment of a JPEG is longer, in bytes.
_LONGEST = 1 << 16
# Bytes of an entry: two each for tag and type, four each for count and value.
_ENTRY = 12
# Cameras write a dozen entries; a file may claim 65,535.
_MOST_ENTRIES = 64
_TAG, _SHORT = 0x0112, 3


def upright(pixels: tf.Tensor, image_bytes: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors a decoded image as its Exif orientation says.

    Args:
        pixels: uint8 `[H, W, 3]`.
        image_bytes: string scalar, what they were decoded from.

    Returns:
        The pixels, uint8 `[H, W, 3]` or `[W, H, 3]`.

    Example:
        >>> upright(pixels, tf.io.read_file("phone.jpg")).shape
        TensorShape([4032, 3024, 3])
    """
    # Most images end here: the function that is not inlined is a single
    # operation to skip.
    may_have_exif = tf.strings.regex_full_match(
        image_bytes, r"\C*(Exif|eXIf|EXIF)\C*"
    )
    turned = tf.cond(
        may_have_exif,
        lambda: _turn_as_tagged(pixels, image_bytes),
        lambda: pixels,
    )
    return tf.ensure_shape(turned, [None, None, 3])


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None, 3], tf.uint8),
        tf.TensorSpec([], tf.string),
    ],
    autograph=False,
    experimental_attributes={"_noinline": True},
)
def _turn_as_tagged(pixels: tf.Tensor, image_bytes: tf.Tensor) -> tf.Tensor:
    return turn(pixels, orientation(image_bytes))


def turn(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors an image.

    Args:
        pixels: `[H, W, 3]`.
        orientation: int32 scalar in 1..8, as in Exif.

    Returns:
        The pixels, `[H, W, 3]` or, from 5 on, `[W, H, 3]`.

    Example:
        >>> turn(tf.zeros([30, 40, 3]), tf.constant(6)).shape
        TensorShape([40, 30, 3])
    """
    axes = tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2])
    rows = _step(orientation, (3, 4, 7, 8))
    columns = _step(orientation, (2, 3, 6, 7))
    return tf.transpose(pixels, axes)[::rows, ::columns]


def _step(orientation: tf.Tensor, backwards: tuple[int, ...]) -> tf.Tensor:
    return tf.where(tf.reduce_any(orientation == backwards), -1, 1)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def orientation(image_bytes: tf.Tensor) -> tf.Tensor:
    """Reads the Exif tag that says how a JPEG, PNG or WebP must be turned.

    Args:
        image_bytes: string scalar, an encoded image.

    Returns:
        int32 scalar in 1..8. It is 1, upright as stored, where the image has
        no such tag, or an invalid one.

    Example:
        >>> int(orientation(tf.io.read_file("phone.jpg")))
        6
    """
    tiff = _exif(image_bytes)

    def at(positions: tf.Tensor) -> tf.Tensor:
        """Reads bytes, which are 0 outside of the data."""
        inside = (positions >= 0) & (positions < _LONGEST)
        return tf.where(
            inside, tf.gather(tiff, tf.where(inside, positions, 0)), 0
        )

    start = tiff[:4]
    little = tf.reduce_all(start == list(b"II*\0"))
    big = tf.reduce_all(start == list(b"MM\0*"))

    def number(numbers: tf.Tensor) -> tf.Tensor:
        first_is_least, first_is_most = (
            segments.number(numbers, little_endian=order)
            for order in (True, False)
        )
        return tf.where(little, first_is_least, first_is_most)

    directory = number(tiff[4:8])
    count = number(at(directory + tf.range(2, dtype=tf.int64)))
    index = tf.range(_MOST_ENTRIES, dtype=tf.int64)
    starts = directory + 2 + index * _ENTRY
    entries = at(starts[:, None] + tf.range(_ENTRY, dtype=tf.int64))
    value = number(entries[:, 8:10])
    fits = (
        (little | big)
        & (index < count)
        & (number(entries[:, 0:2]) == _TAG)
        & (number(entries[:, 2:4]) == _SHORT)
        & (number(entries[:, 4:8]) == 1)
        & (value >= 1)
        & (value <= 8)
    )
    return tf.reduce_max(tf.where(fits, tf.cast(value, tf.int32), 1))


def _exif(image_bytes: tf.Tensor) -> tf.Tensor:
    """The first bytes of the Exif data, int64 `[_LONGEST]`; zeros if none."""

    def at(first: int, expected: bytes) -> Callable[[tf.Tensor], tf.Tensor]:
        last = first + len(expected)
        return lambda head: tf.reduce_all(head[first:last] == list(expected))

    def in_jpeg(head: tf.Tensor) -> tf.Tensor:
        return at(0, b"\xff\xe1")(head) & at(4, _NAME)(head)

    find = functools.partial(segments.find, image_bytes)
    place = tf.reduce_max(
        [
            find(segments.JPEG, in_jpeg),
            find(segments.PNG, at(4, b"eXIf")),
            find(segments.WEBP, at(0, b"EXIF")),
        ]
    )
    start = tf.maximum(place, 0)
    named = tf.strings.substr(image_bytes, start, len(_NAME)) == _NAME
    start = tf.where(named, start + len(_NAME), start)
    data = segments.read(image_bytes, start, _LONGEST)
    return tf.where(place >= 0, data, 0)
