"""How large an image is, read from its header in TensorFlow operations.

A small file can hold an image that would fill a server's memory. So what an
image is, and how many pixels decoding it would give, is known before.
"""

import tensorflow as tf

from dfk.images import MAX_PIXELS, segments

# Telephones take JPEGs of 108 and 200 million. They are stored so that they
# can be decoded row by row, at half the width and height.
MAX_JPEG_PIXELS = 1 << 28
# A progressive JPEG goes over all its pixels in each scan. Programs write a
# dozen scans. This many pixels in all take ten seconds.
_MAX_SCANS, _MAX_SCANNED = 1000, 1 << 32
# In bytes: the longest header of a BMP, and a palette of 256 colours.
_HEADER = 14 + 124 + 1024
# `claimed` of what is refused for another reason than its size.
_GIF, _PALETTE_BMP, _ANIMATION, _SCANS = -1, -2, -3, -4


def claimed(image_bytes: tf.Tensor) -> tf.Tensor:
    """How many pixels an image has by its header, or that it is refused.

    Args:
        image_bytes: string scalar, an encoded image.

    Returns:
        int64 scalar. 0 for what is no image of a format that is read, and must
        not be decoded either. Negative for an image that is refused;
        `why_refused` says why.

    Raises:
        tf.errors.InvalidArgumentError: a JPEG without its size.
    """
    # Branches cost more than everything else here. What is not inlined is a
    # single operation to skip for a JPEG, the most usual format.
    return tf.cond(
        is_jpeg(image_bytes),
        lambda: _of_jpeg(image_bytes),
        lambda: _of_others(image_bytes),
    )


def why_refused(image_bytes: tf.Tensor, refusals: tf.Tensor) -> tf.Tensor:
    """Why images are refused, in words.

    Args:
        image_bytes: string `[N]`, encoded images.
        refusals: int64 `[N]`, the negative numbers that `claimed` gave.

    Returns:
        string `[N]`.
    """
    limit = tf.where(
        is_jpeg(image_bytes) & (-refusals > MAX_JPEG_PIXELS),
        MAX_JPEG_PIXELS,
        MAX_PIXELS,
    )
    too_large = tf.strings.join(
        [
            "too large to be decoded: it has ",
            tf.strings.as_string(-refusals),
            " pixels, and ",
            tf.strings.as_string(limit),
            " are allowed",
        ]
    )
    no_gif = (
        "a GIF, whose 256 colours hide what tells fakes: pass a JPEG, PNG, "
        "WebP or BMP"
    )
    reason = too_large
    for code, why in (
        (_GIF, no_gif),
        (_PALETTE_BMP, "a BMP with a palette of colours: save it as PNG"),
        (_ANIMATION, "an animation: save one frame of it as PNG"),
        (_SCANS, "a JPEG of too many scans: save it as PNG"),
    ):
        reason = tf.where(refusals == code, why, reason)
    return reason


def starts_with(image_bytes: tf.Tensor, signature: bytes) -> tf.Tensor:
    """Whether images, string `[...]`, begin with these bytes, bool `[...]`."""
    return tf.equal(
        tf.strings.substr(image_bytes, 0, len(signature)), signature
    )


def is_jpeg(image_bytes: tf.Tensor) -> tf.Tensor:
    """Whether images, string `[...]`, are JPEGs, bool `[...]`."""
    return starts_with(image_bytes, b"\xff\xd8\xff")


def _of_jpeg(image_bytes: tf.Tensor) -> tf.Tensor:
    shape = tf.io.extract_jpeg_shape(image_bytes, tf.int64)
    pixels = shape[0] * shape[1]
    # The start of a scan, which may also stand elsewhere by chance.
    parts = tf.raw_ops.StringSplitV2(
        input=[image_bytes], sep=b"\xff\xda", maxsplit=_MAX_SCANS + 1
    )
    scans = tf.size(parts.values, tf.int64) - 1
    return tf.cond(
        (pixels <= MAX_PIXELS)
        & (scans <= _MAX_SCANS)
        & (scans * pixels <= _MAX_SCANNED),
        lambda: pixels,
        lambda: _of_demanding_jpeg(image_bytes, pixels, shape[2]),
    )


def _rarely(*signature: tf.TensorSpec):
    return tf.function(
        input_signature=signature,
        autograph=False,
        experimental_attributes={"_noinline": True},
    )


@_rarely(
    tf.TensorSpec([], tf.string),
    tf.TensorSpec([], tf.int64),
    tf.TensorSpec([], tf.int64),
)
def _of_demanding_jpeg(
    image_bytes: tf.Tensor, pixels: tf.Tensor, components: tf.Tensor
) -> tf.Tensor:
    """Allows a large file, or a long one, that is decoded row by row.

    It is not if it is progressive, or if its first scan lacks components. Then
    all coefficients are in memory at once, whatever the scale, and each scan
    goes over all of them.
    """

    def is_sequential_frame(head):
        return (head[1] == 0xC0) | (head[1] == 0xC1)

    def is_scan_of_all(head):
        return (head[1] == 0xDA) & (head[4] == components)

    frame, scan = (
        segments.find(image_bytes, segments.JPEG, is_wanted)
        for is_wanted in (is_sequential_frame, is_scan_of_all)
    )
    by_rows = (frame >= 0) & (scan >= 0)
    return tf.where(
        by_rows,
        tf.where(pixels <= MAX_JPEG_PIXELS, pixels, -pixels),
        tf.where(pixels <= MAX_PIXELS, tf.constant(_SCANS, tf.int64), -pixels),
    )


@_rarely(tf.TensorSpec([], tf.string))
def _of_others(image_bytes: tf.Tensor) -> tf.Tensor:
    header = segments.read(image_bytes, 0, _HEADER)

    def begins(signature: bytes, place: int = 0) -> tf.Tensor:
        part = header[place : place + len(signature)]
        return tf.reduce_all(part == list(signature))

    is_bmp = begins(b"BM")
    is_webp = begins(b"RIFF") & begins(b"WEBP", 8)
    found = tf.where(begins(b"\x89PNG"), _pixels_of_png(header), 0)
    found = tf.where(is_bmp, _pixels_of_bmp(header), found)
    found = tf.where(is_webp, _pixels_of_webp(header), found)
    found = tf.where(found > MAX_PIXELS, -found, found)
    for code, applies in (
        # A frame of a GIF can be larger than the GIF itself.
        (_GIF, begins(b"GIF8")),
        (_PALETTE_BMP, is_bmp & (header[28] < 24) & ~_has_greys(header)),
        # TensorFlow writes all frames into the memory of the first, which
        # kills the process.
        (_ANIMATION, is_webp & begins(b"VP8X", 12) & (header[20] & 2 > 0)),
    ):
        found = tf.where(applies, tf.constant(code, tf.int64), found)
    return found


def _pixels_of_png(header: tf.Tensor) -> tf.Tensor:
    sides = segments.number(tf.reshape(header[16:24], [2, 4]))
    # PNG allows no longer side; the product fits into 63 bits.
    return tf.reduce_prod(tf.minimum(sides, (1 << 31) - 1))


def _pixels_of_bmp(header: tf.Tensor) -> tf.Tensor:
    sides = tf.reshape(header[18:26], [2, 4])
    sides = segments.number(sides, little_endian=True)
    # The height of an image that is stored from the top is negative.
    return tf.reduce_prod(tf.minimum(sides, (1 << 32) - sides))


def _has_greys(bmp: tf.Tensor) -> tf.Tensor:
    """Whether a BMP's palette gives each number the grey of that number."""
    pixels = bmp[10] + 256 * bmp[11]
    start = tf.clip_by_value(pixels - 1024, 0, _HEADER - 1024)
    palette = tf.reshape(bmp[start : start + 1024], [256, 4])
    greys = tf.range(256, dtype=tf.int64)[:, None]
    return tf.reduce_all(palette[:, :3] == greys)


def _pixels_of_webp(header: tf.Tensor) -> tf.Tensor:
    """Reads the first chunk: lossy, lossless, or extended (RFC 9649)."""

    def number(first: int, count: int) -> tf.Tensor:
        part = header[first : first + count]
        return segments.number(part, little_endian=True)

    lossless = number(21, 4)
    sides = {
        b" ": [number(26, 2) % (1 << 14), number(28, 2) % (1 << 14)],
        b"L": [lossless % (1 << 14) + 1, lossless // (1 << 14) % (1 << 14) + 1],
        b"X": [number(24, 3) + 1, number(27, 3) + 1],
    }
    kind = header[15]
    return tf.reduce_sum(
        [
            tf.where(kind == k[0], width * height, 0)
            for k, (width, height) in sides.items()
        ]
    )
