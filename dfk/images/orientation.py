"""The Exif orientation of a JPEG, read and applied in TensorFlow operations.

A phone stores most portraits lying on their side, with a tag that says how to
turn them. Viewers show such an image upright. A detector must see it upright
too, since it was trained on upright faces.

Reference:
    "Exchangeable image file format for digital still cameras: Exif Version
    2.32" (CIPA DC-008-2019), 4.5.4 and 4.6.4.A, the tag `Orientation`.
"""

import tensorflow as tf

# How a JPEG begins, and the markers of the segments that are read: JFIF, which
# comes first where there is one, and Exif.
_START, _JFIF, _EXIF = b"\xff\xd8", b"\xff\xe0", b"\xff\xe1"
_NAME = b"Exif\0\0"
# No segment is longer, in bytes.
_LONGEST = 1 << 16
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
        tf.strings.substr(image_bytes, 0, _LONGEST), r"\C*Exif\C*"
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
    """Reads the Exif tag that says how a JPEG must be turned.

    Args:
        image_bytes: string scalar, an encoded image.

    Returns:
        int32 scalar in 1..8. It is 1, upright as stored, where the image is
        no JPEG, or has no such tag, or an invalid one.

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
    """The `_LONGEST` bytes of a JPEG's Exif segment; zeros if there is none."""
    # Padded, so that no read goes past the end, whatever lengths a file claims.
    data = image_bytes + b"\0" * (3 * _LONGEST)
    is_jpeg = tf.strings.substr(data, 0, 2) == _START
    has_jfif = tf.strings.substr(data, 2, 2) == _JFIF
    # Numbers in a JPEG are big-endian.
    length = tf.io.decode_raw(
        tf.strings.substr(data, 4, 2), tf.uint16, little_endian=False
    )[0]
    place = tf.where(has_jfif, 4 + tf.cast(length, tf.int32), 2)
    is_exif = (tf.strings.substr(data, place, 2) == _EXIF) & (
        tf.strings.substr(data, place + 4, 6) == _NAME
    )
    segment = tf.strings.substr(data, place + 10, _LONGEST)
    return tf.where(is_jpeg & is_exif, segment, b"\0" * _LONGEST)
