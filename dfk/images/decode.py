"""The one path from an image's bytes to the pixels that a detector sees.

Everything that scores an image uses `decode`: the TFDS builder, a folder of
files, `dfk.predict` and the served graph. It rounds pixels to whole numbers.
So an image that was decoded and stored losslessly, and the same image that
comes over the network, are the same tensor.
"""

import tensorflow as tf

from dfk.images import MAX_PIXELS, sizes
from dfk.images.orientation import upright

# Changes whenever the same bytes give other pixels: caches depend on it.
PIPELINE_VERSION = 2

NOT_AN_IMAGE = "not a picture that can be decoded"


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
        tf.errors.InvalidArgumentError: as `read` does.

    Example:
        >>> decode(tf.io.read_file("face.jpg"), 128).shape
        TensorShape([128, 128, 3])
    """
    return center_crop_resize(read(image_bytes), image_size)


def read(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes one image and turns it upright.

    Reads JPEG, PNG, still WebP and BMP, also grey, with a palette or with an
    alpha channel; what is transparent shows white. A BMP with a palette of
    colours is refused, since TensorFlow ignores the palette; a GIF, since its
    256 colours hide what a detector looks for.

    No image takes more than 1 GiB while it is decoded: one of more than
    `MAX_PIXELS` is refused. But a JPEG of up to `sizes.MAX_JPEG_PIXELS`, as
    telephones take it, is decoded at half its width and height; not a
    progressive one, for which this would save no memory.

    Args:
        image_bytes: string scalar, an encoded image.

    Returns:
        uint8 `[H, W, 3]`, RGB in 0..255.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image, or one that
            is refused. `why_unreadable` says which.

    Example:
        >>> read(tf.io.read_file("photograph.jpg")).shape
        TensorShape([1080, 1920, 3])
    """
    # A Python string would make a new graph of each function it is passed to.
    image_bytes = tf.convert_to_tensor(image_bytes, tf.string)
    size = sizes.claimed(image_bytes)
    # The raw operation, since tf.debugging.Assert adds a branch.
    accepted = tf.raw_ops.Assert(condition=size > 0, data=["refused", size])
    # In eager mode the assertion has run already, and returns None.
    with tf.control_dependencies([accepted] if accepted else []):
        return _pixels(image_bytes, size)


def _pixels(image_bytes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Decodes an image that is not refused, of so many pixels."""
    # JPEG, the most usual format, skips all others as a single operation, since
    # that function is not inlined.
    pixels = tf.cond(
        sizes.is_jpeg(image_bytes) & (size <= MAX_PIXELS),
        lambda: tf.io.decode_jpeg(image_bytes, channels=3),
        lambda: _unusual(image_bytes),
    )
    return upright(pixels, image_bytes)


@tf.function(
    input_signature=[tf.TensorSpec([], tf.string)],
    autograph=False,
    experimental_attributes={"_noinline": True},
)
def _unusual(image_bytes: tf.Tensor) -> tf.Tensor:
    def decoded(channels: int) -> tf.Tensor:
        return tf.io.decode_image(
            image_bytes, channels=channels, expand_animations=False
        )

    def webp() -> tf.Tensor:
        # TensorFlow adds no alpha channel to a WebP, and takes none away.
        pixels = decoded(0)
        return tf.cond(
            tf.shape(pixels)[2] == 4,
            lambda: _on_white(pixels),
            lambda: pixels,
        )

    starts_with = sizes.starts_with
    return tf.case(
        [
            (
                sizes.is_jpeg(image_bytes),
                lambda: tf.io.decode_jpeg(image_bytes, channels=3, ratio=2),
            ),
            (
                starts_with(image_bytes, b"\x89PNG"),
                lambda: _on_white(decoded(4)),
            ),
            (starts_with(image_bytes, b"RIFF"), webp),
        ],
        default=lambda: decoded(3),
    )


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    """What shows of uint8 `[H, W, 4]` on white, uint8 `[H, W, 3]`."""
    colours, alpha = pixels[..., :3], pixels[..., 3:]

    def composite() -> tf.Tensor:
        # In 16 bits, which take half the memory of floats.
        darkness = tf.cast(255 - colours, tf.uint16) * tf.cast(alpha, tf.uint16)
        return 255 - tf.cast((darkness + 127) // 255, tf.uint8)

    is_opaque = tf.reduce_all(alpha == 255)
    return tf.cond(is_opaque, lambda: colours, composite)


def why_unreadable(image_bytes: bytes) -> str:
    """Why an image cannot be read, in words; empty if it can be.

    Example:
        >>> why_unreadable(b"GIF89a")
        'a GIF, whose 256 colours hide what tells fakes: pass a JPEG, ...'
    """
    *_, (reason,) = decode_batch(tf.constant([image_bytes]), image_size=8)
    return reason.numpy().decode()


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
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decodes a batch in which some entries may not be images.

    It works inside a served graph. `tf.map_fn` would fail the whole batch on
    one broken image; so a `tf.data` pipeline drops the broken ones, and the
    others are scattered back to their places.

    Args:
        image_bytes: string `[N]`, encoded images.
        image_size: the side of the results, in pixels.

    Returns:
        Three tensors: uint8 `[N, image_size, image_size, 3]`, zeros where an
        image is unreadable; bool `[N]`, True where it is readable; and string
        `[N]`, why it is not, or empty.
    """
    count = tf.shape(image_bytes, out_type=tf.int64)[0]
    shape = (image_size, image_size, 3)

    def decode_one(index, data):
        size = sizes.claimed(data)
        pixels = tf.cond(
            size > 0,
            lambda: center_crop_resize(_pixels(data, size), image_size),
            lambda: tf.zeros(shape, tf.uint8),
        )
        return index, tf.ensure_shape(pixels, shape), size

    # One extra row, which is dropped again: there must be a batch even when no
    # image is readable.
    last = tf.data.Dataset.from_tensors(
        (
            tf.expand_dims(count, 0)[0],
            tf.zeros(shape, tf.uint8),
            tf.constant(0, tf.int64),
        )
    )
    decoded = (
        tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
        .map(decode_one, num_parallel_calls=tf.data.AUTOTUNE)
        .ignore_errors()
        .concatenate(last)
        .batch(count + 1)
    )
    indices, pixels, found = decoded.get_single_element()
    places = indices[:, None]
    images = tf.scatter_nd(places, pixels, [count + 1, *shape])
    # 0 is no image, and left for what failed to decode.
    kept = tf.where(found > 0, tf.ones_like(found), found)
    state = tf.scatter_nd(places, kept, [count + 1])[:-1]
    refusal = sizes.why_refused(image_bytes, state)
    reason = tf.where(state < 0, refusal, tf.where(state > 0, "", NOT_AN_IMAGE))
    return images[:-1], state > 0, reason
