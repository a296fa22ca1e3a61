"""The one path from an image's bytes to the pixels that a detector sees.

Everything that scores an image uses `decode`: the TFDS builder, a folder of
files, `dfk.predict` and the served graph. It rounds pixels to whole numbers.
So an image that was decoded and stored losslessly, and the same image that
comes over the network, are the same tensor.
"""

import tensorflow as tf

from dfk.images.orientation import upright

# A small file can claim to hold an image that would fill a server's memory.
# 67 million pixels are three times what a professional camera takes.
MAX_PIXELS = 1 << 26
# In bytes: the longest header of a BMP, and a palette of 256 colours.
_HEADER = 14 + 124 + 1024


def decode(image_bytes: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decodes one image to a square of `image_size` pixels.

    The largest centred square of what `read` returns is resized with
    antialiasing.

    Args:
        image_bytes: string scalar, an encoded image.
        image_size: the side of the result, in pixels.

    Returns:
        uint8 `[image_size, image_size, 3]`, RGB in 0..255.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image, or one of
            more than `MAX_PIXELS` pixels.

    Example:
        >>> decode(tf.io.read_file("face.jpg"), 128).shape
        TensorShape([128, 128, 3])
    """
    return center_crop_resize(read(image_bytes), image_size)


def read(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes one image and turns it upright.

    Reads JPEG, PNG, still WebP, BMP and GIF (the first frame), also grey, with
    a palette or with an alpha channel. A BMP with a palette of colours is
    refused, since TensorFlow ignores the palette.

    Args:
        image_bytes: string scalar, an encoded image.

    Returns:
        uint8 `[H, W, 3]`, RGB in 0..255.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image, a BMP with
            a palette of colours, or an image of more than `MAX_PIXELS`
            pixels.

    Example:
        >>> read(tf.io.read_file("photograph.jpg")).shape
        TensorShape([1080, 1920, 3])
    """
    claimed = tf.reduce_prod(_claimed_shape(image_bytes))
    # The raw operation, since tf.debugging.Assert adds a branch.
    small_enough = tf.raw_ops.Assert(
        condition=claimed <= MAX_PIXELS, data=["too many pixels", claimed]
    )
    # In eager mode the assertion has run already, and returns None.
    with tf.control_dependencies([small_enough] if small_enough else []):
        pixels = tf.io.decode_image(
            image_bytes, channels=3, expand_animations=False
        )
    return upright(pixels, image_bytes)


def _claimed_shape(image_bytes: tf.Tensor) -> tf.Tensor:
    """Reads the sides in an image's header, int64 `[2]`, without decoding.

    They are zeros for a BMP, whose file is as large as its image; but a BMP
    with a palette of colours gets far too many pixels, so that it is refused.
    """
    # Branches cost more than everything else here. So there is only one, for
    # JPEG, the most usual format. The other side is not inlined, so that a
    # JPEG skips a single operation.
    return tf.cond(
        tf.equal(tf.strings.substr(image_bytes, 0, 3), b"\xff\xd8\xff"),
        lambda: tf.cast(tf.io.extract_jpeg_shape(image_bytes)[:2], tf.int64),
        lambda: _claimed_by_header(image_bytes),
    )


@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _claimed_by_header(image_bytes: tf.Tensor) -> tf.Tensor:
    # Padded, since nothing could be read of a file that is shorter.
    start = tf.strings.substr(image_bytes, 0, _HEADER)
    start = tf.strings.substr(start + b"\0" * _HEADER, 0, _HEADER)
    header = tf.cast(tf.io.decode_raw(start, tf.uint8), tf.int64)

    def sides(first: int, weights: list[int]) -> tf.Tensor:
        """Reads two numbers whose bytes have these weights."""
        two = header[first : first + 2 * len(weights)]
        return tf.reduce_sum(tf.reshape(two, [2, -1]) * weights, axis=1)

    def starts_with(signature: bytes) -> tf.Tensor:
        return tf.reduce_all(header[: len(signature)] == list(signature))

    found = tf.where(
        starts_with(b"\x89PNG"), sides(16, [1 << 24, 1 << 16, 1 << 8, 1]), 0
    )
    found = tf.where(starts_with(b"GIF8"), sides(6, [1, 1 << 8]), found)
    coloured = starts_with(b"BM") & (header[28] < 24) & ~_has_greys(header)
    found = tf.where(coloured, tf.constant(MAX_PIXELS, tf.int64), found)
    return tf.where(starts_with(b"RIFF"), _sides_of_webp(header), found)


def _has_greys(bmp: tf.Tensor) -> tf.Tensor:
    """Whether a BMP's palette gives each number the grey of that number."""
    pixels = bmp[10] + 256 * bmp[11]
    start = tf.clip_by_value(pixels - 1024, 0, _HEADER - 1024)
    palette = tf.reshape(bmp[start : start + 1024], [256, 4])
    greys = tf.range(256, dtype=tf.int64)[:, None]
    return tf.reduce_all(palette[:, :3] == greys)


def _sides_of_webp(header: tf.Tensor) -> tf.Tensor:
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
        [tf.where(kind == k[0], tf.stack(two), 0) for k, two in sides.items()],
        axis=0,
    )


def center_crop_resize(pixels: tf.Tensor, image_size: int) -> tf.Tensor:
    """Crops the centred square of an image and resizes it, antialiased.

    A square that is too large is averaged over areas, one that is too small is
    interpolated bilinearly.

    Args:
        pixels: uint8 `[H, W, 3]`.
        image_size: the side of the result, in pixels.

    Returns:
        uint8 `[image_size, image_size, 3]`; the very same pixels if the
        image already has that size.
    """
    shape = tf.shape(pixels)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    square = pixels[top : top + side, left : left + side]
    # Averaging over areas counts every pixel, like the antialiased bilinear
    # filter, in a quarter of its time. When enlarging, it would give blocks.
    resized = tf.cond(
        side > image_size,
        lambda: tf.image.resize(square, [image_size] * 2, method="area"),
        lambda: tf.image.resize(square, [image_size] * 2),
    )
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def decode_batch(
    image_bytes: tf.Tensor, image_size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a batch in which some entries may not be images.

    It works inside a served graph. `tf.map_fn` would fail the whole batch on
    one broken image; so a `tf.data` pipeline drops the broken ones, and the
    others are scattered back to their places.

    Args:
        image_bytes: string `[N]`, encoded images.
        image_size: the side of the results, in pixels.

    Returns:
        A pair: uint8 `[N, image_size, image_size, 3]`, zeros where an image
        is unreadable; and bool `[N]`, True where it is readable.
    """
    count = tf.shape(image_bytes, out_type=tf.int64)[0]
    shape = (image_size, image_size, 3)
    # One extra row, which is dropped again: there must be a batch even when no
    # image is readable.
    last = tf.data.Dataset.from_tensors(
        (tf.expand_dims(count, 0)[0], tf.zeros(shape, tf.uint8))
    )
    readable = (
        tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
        .map(
            lambda i, data: (i, decode(data, image_size)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .ignore_errors()
        .concatenate(last)
        .batch(count + 1)
    )
    indices, pixels = readable.get_single_element()
    images = tf.scatter_nd(indices[:, None], pixels, [count + 1, *shape])
    ok = tf.scatter_nd(
        indices[:, None], tf.ones_like(indices, tf.int32), [count + 1]
    )
    return images[:-1], tf.cast(ok[:-1], tf.bool)
