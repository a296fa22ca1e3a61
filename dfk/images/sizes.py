"""How large an image is, read from its header in TensorFlow operations.

A small file can hold an image that would fill a server's memory. So what an
image is, and how many pixels decoding it would give, is known before.
"""

import tensorflow as tf

# 67 million pixels are three times what a professional camera takes.
MAX_PIXELS = 1 << 26
# Telephones take JPEGs of 108 and 200 million.
MAX_JPEG_PIXELS = 1 << 28
# In bytes: the longest header of a BMP, and a palette of 256 colours.
_HEADER = 14 + 124 + 1024
# `claimed` of what is refused for another reason than its size.
_GIF, _PALETTE_BMP = -1, -2


def claimed(image_bytes: tf.Tensor) -> tf.Tensor:
    """How many pixels an image has by its header, or that it is refused.

    Args:
        image_bytes: string scalar, an encoded image.

    Returns:
        int64 scalar. 0 for a BMP, whose file is as large as its image, and
        for what is no image. Negative for an image that is refused;
        `why_refused` says why.

    Raises:
        tf.errors.InvalidArgumentError: a JPEG without its size.
    """
    # Branches cost more than everything else here. So there is only one, for
    # JPEG, the most usual format. The other side is not inlined, so that a
    # JPEG skips a single operation.
    jpeg = is_jpeg(image_bytes)
    pixels = tf.cond(
        jpeg,
        lambda: tf.reduce_prod(
            tf.cast(tf.io.extract_jpeg_shape(image_bytes)[:2], tf.int64)
        ),
        lambda: _of_others(image_bytes),
    )
    limit = tf.where(jpeg, MAX_JPEG_PIXELS, MAX_PIXELS)
    return tf.where(pixels > tf.cast(limit, tf.int64), -pixels, pixels)


def why_refused(image_bytes: tf.Tensor, refusals: tf.Tensor) -> tf.Tensor:
    """Why images are refused, in words.

    Args:
        image_bytes: string `[N]`, encoded images.
        refusals: int64 `[N]`, the negative numbers that `claimed` gave.

    Returns:
        string `[N]`.
    """
    limit = tf.where(is_jpeg(image_bytes), MAX_JPEG_PIXELS, MAX_PIXELS)
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
    no_palette = "a BMP with a palette of colours: save it as PNG"
    reason = tf.where(refusals == _GIF, no_gif, too_large)
    return tf.where(refusals == _PALETTE_BMP, no_palette, reason)


def starts_with(image_bytes: tf.Tensor, signature: bytes) -> tf.Tensor:
    """Whether images, string `[...]`, begin with these bytes, bool `[...]`."""
    return tf.equal(
        tf.strings.substr(image_bytes, 0, len(signature)), signature
    )


def is_jpeg(image_bytes: tf.Tensor) -> tf.Tensor:
    """Whether images, string `[...]`, are JPEGs, bool `[...]`."""
    return starts_with(image_bytes, b"\xff\xd8\xff")


@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _of_others(image_bytes: tf.Tensor) -> tf.Tensor:
    # Padded, since nothing could be read of a file that is shorter.
    start = tf.strings.substr(image_bytes, 0, _HEADER)
    start = tf.strings.substr(start + b"\0" * _HEADER, 0, _HEADER)
    header = tf.cast(tf.io.decode_raw(start, tf.uint8), tf.int64)

    def product(first: int, weights: list[int]) -> tf.Tensor:
        """Multiplies two numbers whose bytes have these weights."""
        two = header[first : first + 2 * len(weights)]
        sides = tf.reduce_sum(tf.reshape(two, [2, -1]) * weights, axis=1)
        # PNG allows no longer side; their product fits into 63 bits.
        return tf.reduce_prod(tf.minimum(sides, (1 << 31) - 1))

    def begins(signature: bytes) -> tf.Tensor:
        return tf.reduce_all(header[: len(signature)] == list(signature))

    found = tf.where(
        begins(b"\x89PNG"), product(16, [1 << 24, 1 << 16, 1 << 8, 1]), 0
    )
    found = tf.where(begins(b"RIFF"), _pixels_of_webp(header), found)
    # A frame of a GIF can be larger than the GIF itself.
    found = tf.where(begins(b"GIF8"), tf.constant(_GIF, tf.int64), found)
    coloured = begins(b"BM") & (header[28] < 24) & ~_has_greys(header)
    return tf.where(coloured, tf.constant(_PALETTE_BMP, tf.int64), found)


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
        weights = [1 << 8 * place for place in range(count)]
        return tf.reduce_sum(header[first : first + count] * weights)

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
