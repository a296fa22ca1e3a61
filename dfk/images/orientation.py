"""How a camera was held, as its JPEG says, in TensorFlow operations.

A telephone stores most portraits lying on their side, with a note that says how
to turn them. Whoever looks at such an image sees it upright, and so must a
detector, which has never seen a face that lies.

Reference:
    "Exchangeable image file format for digital still cameras: Exif Version
    2.32" (CIPA DC-008-2019), 4.5.4 and 4.6.4.A, the tag `Orientation`.
"""

import tensorflow as tf

# How a JPEG begins, and the segments that are looked at: JFIF's, which comes
# first where there is one, and the one with the note.
_START, _JFIF, _EXIF = b"\xff\xd8", b"\xff\xe0", b"\xff\xe1"
_NAME = b"Exif\0\0"
# No segment is longer.
_LONGEST = 1 << 16
# Bytes of an entry: a tag and a type of two each, a count and a value of four.
_ENTRY = 12
# Cameras write a dozen; a file may claim 65,535.
_MOST_ENTRIES = 64
_TAG, _SHORT = 0x0112, 3


def upright(pixels: tf.Tensor, image_bytes: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors a decoded image as its file asks.

    Args:
        pixels: `[H, W, 3]`.
        image_bytes: string scalar, what they were decoded from.

    Returns:
        The pixels, `[H, W, 3]` or `[W, H, 3]`.

    Example:
        >>> upright(pixels, tf.io.read_file("telephone.jpg")).shape
        TensorShape([4032, 3024, 3])
    """
    # The only branch: without a note, this is all that an image pays, since
    # what is not inlined is a single operation to pass over.
    may_have_note = tf.strings.regex_full_match(
        tf.strings.substr(image_bytes, 0, _LONGEST), r"\C*Exif\C*"
    )
    turned = tf.cond(
        may_have_note,
        lambda: _turn_as_noted(pixels, image_bytes),
        lambda: pixels,
    )
    return tf.ensure_shape(turned, [None, None, 3])


@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _turn_as_noted(pixels: tf.Tensor, image_bytes: tf.Tensor) -> tf.Tensor:
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
    """Reads the note that says how a JPEG must be turned.

    Args:
        image_bytes: string scalar, an encoded image.

    Returns:
        int32 scalar in 1..8; 1, upright as stored, where the image is no
        JPEG or has no such note, or one that makes no sense.

    Example:
        >>> int(orientation(tf.io.read_file("telephone.jpg")))
        6
    """
    tiff = tf.cast(tf.io.decode_raw(_exif(image_bytes), tf.uint8), tf.int32)

    def at(positions: tf.Tensor) -> tf.Tensor:
        """Bytes, which are 0 outside of the segment."""
        inside = (positions >= 0) & (positions < _LONGEST)
        return tf.where(
            inside, tf.gather(tiff, tf.where(inside, positions, 0)), 0
        )

    start = at(tf.range(4))
    little = tf.reduce_all(start == list(b"II*\0"))
    big = tf.reduce_all(start == list(b"MM\0*"))

    def number(numbers: tf.Tensor) -> tf.Tensor:
        """Numbers of the bytes on the last axis."""
        weights = [1 << 8 * byte for byte in range(numbers.shape[-1])]
        weights = tf.where(little, weights, weights[::-1])
        return tf.reduce_sum(numbers * weights, axis=-1)

    # Offsets of 2 GiB come out negative, which is outside as well.
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
    # Whatever a file claims, it does not end within what is read.
    data = image_bytes + b"\0" * (3 * _LONGEST)
    is_jpeg = tf.strings.substr(data, 0, 2) == _START
    has_jfif = tf.strings.substr(data, 2, 2) == _JFIF
    # Numbers in a JPEG begin with their larger byte.
    length = tf.io.decode_raw(
        tf.strings.substr(data, 4, 2), tf.uint16, little_endian=False
    )[0]
    place = tf.where(has_jfif, 4 + tf.cast(length, tf.int32), 2)
    is_exif = (tf.strings.substr(data, place, 2) == _EXIF) & (
        tf.strings.substr(data, place + 4, 6) == _NAME
    )
    segment = tf.strings.substr(data, place + 10, _LONGEST)
    return tf.where(is_jpeg & is_exif, segment, b"\0" * _LONGEST)
