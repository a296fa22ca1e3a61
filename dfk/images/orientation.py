"""The Exif orientation of an image, read and applied in TensorFlow operations.

A phone stores most portraits lying on their side, with a tag that says how to
turn them. Viewers show such an image upright. A detector must see it upright
too, since it was trained on upright faces.

Exif lies in a segment of a JPEG, or in a chunk of a PNG or WebP, anywhere in
the file. They follow each other, each with its length.

Reference:
    "Exchangeable image file format for digital still cameras: Exif Version
    2.32" (CIPA DC-008-2019), 4.5.4 and 4.6.4.A, the tag `Orientation`; PNG
    (Third Edition), 11.3.3.2 `eXIf`; RFC 9649, 2.7.1.5 `EXIF`.
"""

from collections.abc import Callable

import tensorflow as tf

from dfk.images import sizes

_NAME = b"Exif\0\0"
# The bytes that are read of Exif; a JPEG's segment is no longer.
_LONGEST = 1 << 16
# An image has a dozen segments or chunks; a file may claim millions.
_MOST_PARTS = 500
# Bytes of an entry: two each for tag and type, four each for count and value.
_ENTRY = 12
# Cameras write a dozen entries; a file may claim 65,535.
_MOST_ENTRIES = 64
_TAG, _SHORT = 0x0112, 3


def upright(pixels: tf.Tensor, image_bytes: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors a decoded image as its Exif orientation says.

    Args:
        pixels: `[H, W, 3]`.
        image_bytes: string scalar, what they were decoded from.

    Returns:
        The pixels, `[H, W, 3]` or `[W, H, 3]`.

    Example:
        >>> upright(pixels, tf.io.read_file("phone.jpg")).shape
        TensorShape([4032, 3024, 3])
    """
    # The only branch. Without Exif, this test is all that an image costs, since
    # the function that is not inlined is a single operation to skip.
    may_have_exif = tf.strings.regex_full_match(
        image_bytes, r"\C*(?:Exif|eXIf|EXIF)\C*"
    )
    turned = tf.cond(
        may_have_exif,
        lambda: _turn_as_tagged(pixels, image_bytes),
        lambda: pixels,
    )
    return tf.ensure_shape(turned, [None, None, 3])


@tf.function(autograph=False, experimental_attributes={"_noinline": True})
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


def orientation(image_bytes: tf.Tensor) -> tf.Tensor:
    """Reads the Exif tag that says how an image must be turned.

    Args:
        image_bytes: string scalar, an encoded image.

    Returns:
        int32 scalar in 1..8. It is 1, upright as stored, where the image has
        no such tag, or an invalid one.

    Example:
        >>> int(orientation(tf.io.read_file("phone.jpg")))
        6
    """
    tiff = tf.cast(tf.io.decode_raw(_exif(image_bytes), tf.uint8), tf.int32)

    def at(positions: tf.Tensor) -> tf.Tensor:
        """Reads bytes, which are 0 outside of the segment."""
        inside = (positions >= 0) & (positions < _LONGEST)
        return tf.where(
            inside, tf.gather(tiff, tf.where(inside, positions, 0)), 0
        )

    start = at(tf.range(4))
    little = tf.reduce_all(start == list(b"II*\0"))
    big = tf.reduce_all(start == list(b"MM\0*"))

    def number(numbers: tf.Tensor) -> tf.Tensor:
        """Reads the bytes on the last axis as numbers."""
        weights = [1 << 8 * byte for byte in range(numbers.shape[-1])]
        weights = tf.where(little, weights, weights[::-1])
        return tf.reduce_sum(numbers * weights, axis=-1)

    # Offsets from 2 GiB become negative, which is outside as well.
    directory = number(at(tf.range(4, 8)))
    count = number(at(directory + tf.range(2)))
    index = tf.range(_MOST_ENTRIES)
    starts = directory + 2 + index * _ENTRY
    entries = at(starts[:, None] + tf.range(_ENTRY))
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
    return tf.reduce_max(tf.where(fits, value, 1))


def _exif(image_bytes: tf.Tensor) -> tf.Tensor:
    """The first `_LONGEST` bytes of an image's Exif; zeros if it has none."""
    # Padded, so that no read goes past the end.
    data = image_bytes + b"\0" * (2 * _LONGEST)
    end = tf.strings.length(image_bytes)
    place = tf.case(
        [
            (
                sizes.starts_with(image_bytes, signature),
                lambda first=first, part=part: _find(data, first, end, part),
            )
            for signature, first, part in (
                (b"\xff\xd8\xff", 2, _jpeg_segment),
                (b"\x89PNG", 8, _png_chunk),
                (b"RIFF", 12, _webp_chunk),
            )
        ],
        default=lambda: -1,
    )
    # A JPEG's segment begins with a name; some writers put it into a WebP too.
    start = tf.maximum(place, 0)
    named = tf.equal(tf.strings.substr(data, start, len(_NAME)), _NAME)
    start += tf.where(named, len(_NAME), 0)
    found = tf.strings.substr(data, start, _LONGEST)
    return tf.where(place < 0, b"\0" * _LONGEST, found)


def _find(
    data: tf.Tensor, first: int, end: tf.Tensor, read_part: Callable
) -> tf.Tensor:
    """Where the content of the part with Exif begins, or -1."""

    def step(place, found):
        is_exif, content, following = read_part(data, place)
        return following, tf.where(is_exif, content, found)

    _, found = tf.while_loop(
        lambda place, found: (found < 0) & (place >= 0) & (place < end),
        step,
        (first, -1),
        maximum_iterations=_MOST_PARTS,
    )
    return found


# Each reads the part at a place: whether it holds Exif, where its content
# begins, and where the next part does. Lengths over 2 GiB become negative, and
# end the search.


def _jpeg_segment(data: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, ...]:
    marker = tf.strings.substr(data, place, 2)
    name = tf.strings.substr(data, place + 4, len(_NAME))
    is_exif = tf.equal(marker, b"\xff\xe1") & tf.equal(name, _NAME)
    length = _number(data, place + 2, [1 << 8, 1])
    # Behind the start of a scan, or where no marker is, there are no segments.
    ends = tf.equal(marker, b"\xff\xda") | tf.not_equal(
        tf.strings.substr(data, place, 1), b"\xff"
    )
    return is_exif, place + 4, tf.where(ends, -1, place + 2 + length)


def _png_chunk(data: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, ...]:
    is_exif = tf.equal(tf.strings.substr(data, place + 4, 4), b"eXIf")
    length = _number(data, place, [1 << 24, 1 << 16, 1 << 8, 1])
    return is_exif, place + 8, tf.where(length < 0, -1, place + 12 + length)


def _webp_chunk(data: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, ...]:
    is_exif = tf.equal(tf.strings.substr(data, place, 4), b"EXIF")
    length = _number(data, place + 4, [1, 1 << 8, 1 << 16, 1 << 24])
    following = place + 8 + length + length % 2
    return is_exif, place + 8, tf.where(length < 0, -1, following)


def _number(data: tf.Tensor, place: tf.Tensor, weights: list[int]) -> tf.Tensor:
    """Reads bytes of these weights as an int32."""
    numbers = tf.strings.substr(data, place, len(weights))
    numbers = tf.cast(tf.io.decode_raw(numbers, tf.uint8), tf.int32)
    return tf.reduce_sum(numbers * weights)
