"""CLIP's image tower, ViT-B/16, with weights that come with pip.

CLIP learnt from 400 million pictures and their captions. What its middle
blocks see of a face carries over to generators that no detector was shown,
far better than features of ImageNet do.

Reference:
    Radford et al., "Learning Transferable Visual Models From Natural Language
    Supervision", ICML 2021; https://github.com/openai/CLIP (MIT licence);
    Koutlis & Papadopoulos, "Leveraging Representations from Intermediate
    Encoder-Blocks for Synthetic Image Detection", ECCV 2024 (RINE).
"""

import keras
from keras import layers, ops

from dfk.models import clip_weights
from dfk.models.layers import UnitLength
from dfk.models.named_layers import EMBEDDING
from dfk.models.registry import Recipe, register

PATCH = 16
WIDTH = 768
HEADS = 12
BLOCKS = 12
PROJECTION = 512
NATIVE_SIZE = 224

# The blocks whose tokens the head sees; see benchmarks/recipes.md.
SEEN = range(7, 13)

# Where the class tokens of the first four of these blocks stand among the
# features. Of all that the head sees, they change most with the content of an
# image and least with its compression, and so tell best whether an image is
# like those of training.
_CLASS_TOKENS = tuple(
    (3 * WIDTH * number, 3 * WIDTH * number + WIDTH) for number in range(4)
)

# The features stay as they come: what tuning gains on the fakes it is shown, it
# loses on all others.
RECIPE = Recipe(
    unfreeze="none",
    epochs=5,
    patience=5,
    learning_rate=1e-5,
    # Tells the fakes it was shown as well as a logistic regression does, or
    # better, and carries over further; see benchmarks/recipes.md.
    ridge=0.4,
)

STAGES = {
    "tokens": ("tokens",),
    **{
        f"block{number}": (f"block{number}_",)
        for number in range(1, BLOCKS + 1)
    },
    "embedding": ("last_norm", "projection"),
}

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_EPSILON = 1e-5


@keras.saving.register_keras_serializable("dfk")
class PatchTokens(layers.Layer):
    """Images `[N, S, S, 3]` to tokens `[N, 1 + (S / patch)^2, width]`.

    Each patch becomes a token by one linear map; a learnt class token comes
    first; each token gets its learnt position.

    Args:
        width: the length of a token.
        patch: the side of a patch, in pixels.
    """

    def __init__(self, width: int, patch: int, **kwargs):
        super().__init__(**kwargs)
        self.width, self.patch = width, patch

    def build(self, input_shape):
        """Creates the linear map, the class token and the positions."""
        side = input_shape[1] // self.patch
        self.kernel = self.add_weight(
            (self.patch, self.patch, 3, self.width), name="kernel"
        )
        self.class_token = self.add_weight((self.width,), name="class_token")
        self.positions = self.add_weight(
            (1 + side**2, self.width), name="positions"
        )

    def call(self, images):
        """Cuts images into patches."""
        x = ops.conv(images, self.kernel, strides=self.patch)
        count = self.positions.shape[0]
        x = ops.reshape(x, (-1, count - 1, self.width)) + self.positions[1:]
        first = self.class_token + self.positions[0]
        first = ops.broadcast_to(first, (ops.shape(x)[0], 1, self.width))
        return ops.concatenate([first, x], axis=1)

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"width": self.width, "patch": self.patch}


@keras.saving.register_keras_serializable("dfk")
class SelfAttention(layers.Layer):
    """Multi-head self-attention of tokens `[N, T, D]`.

    Query, key and value come from one product, which is faster than three.

    Args:
        heads: how many there are; D is divided among them.
    """

    def __init__(self, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape):
        """Creates the maps to query, key and value, and to the output."""
        width = input_shape[-1]
        policy = self.dtype_policy
        self.qkv = layers.Dense(3 * width, name="qkv", dtype=policy)
        self.qkv.build(input_shape)
        self.out = layers.Dense(width, name="out", dtype=policy)
        self.out.build(input_shape)

    def call(self, tokens):
        """Lets every token attend to all."""
        _, count, width = tokens.shape
        size = width // self.heads
        x = ops.reshape(self.qkv(tokens), (-1, count, 3, self.heads, size))
        # Each is moved once: copies cost more than they seem to.
        query = ops.transpose(x[:, :, 0], (0, 2, 1, 3)) * size**-0.5
        key = ops.transpose(x[:, :, 1], (0, 2, 3, 1))
        value = ops.transpose(x[:, :, 2], (0, 2, 1, 3))
        weights = ops.softmax(ops.cast(ops.matmul(query, key), "float32"))
        x = ops.matmul(ops.cast(weights, value.dtype), value)
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, count, width))
        return self.out(x)

    def get_config(self):
        """The configuration, for saving."""
        return super().get_config() | {"heads": self.heads}


@keras.saving.register_keras_serializable("dfk")
class QuickGELU(layers.Layer):
    """`x * sigmoid(1.702 x)`, the approximation of GELU that CLIP has."""

    def call(self, x):
        """Applies it to each number."""
        return x * ops.sigmoid(1.702 * x)


@keras.saving.register_keras_serializable("dfk")
class TokenPooling(layers.Layer):
    """Tokens `[N, 1 + P, D]` to `[N, 3D]`.

    The class token as it is, and mean and deviation of the patch tokens: what
    the tower makes of the whole face, how much of a pattern there is, and
    whether it is everywhere or in places.
    """

    def call(self, tokens):
        """Pools over the patches."""
        mean, variance = ops.moments(tokens[:, 1:], axes=1)
        deviation = ops.sqrt(variance + 1e-5)
        return ops.concatenate([tokens[:, 0], mean, deviation], axis=-1)


@keras.saving.register_keras_serializable("dfk")
class AlsoComputes(layers.Layer):
    """Passes its first input on; what computes the second stays in the model.

    A graph that only asks for the score does not run that part.
    """

    def call(self, inputs):
        """Returns the first input."""
        return inputs[0]


def image_tower(
    x: keras.KerasTensor,
    width: int = WIDTH,
    heads: int = HEADS,
    blocks: int = BLOCKS,
    patch: int = PATCH,
) -> tuple[list[keras.KerasTensor], keras.KerasTensor]:
    """CLIP's image tower.

    Args:
        x: RGB pixels `[N, S, S, 3]` in 0..255.
        width: the length D of a token.
        heads: the heads of each attention.
        blocks: how many blocks there are.
        patch: the side of a patch, in pixels.

    Returns:
        The tokens after each block, `[N, 1 + (S / patch)^2, D]`; and CLIP's
        embedding of the image, `[N, 512]`, of length 1.
    """
    x = layers.Normalization(
        mean=[255 * value for value in MEAN],
        variance=[(255 * value) ** 2 for value in DEVIATION],
        name="normalize",
        dtype="float32",
    )(x)
    x = PatchTokens(width, patch, name="tokens")(x)
    x = _norm("tokens_norm")(x)
    outputs = []
    for number in range(1, blocks + 1):
        x = _block(x, f"block{number}", heads)
        outputs.append(x)
    y = _norm("last_norm")(x[:, 0])
    y = layers.Dense(PROJECTION, use_bias=False, name="projection")(y)
    return outputs, UnitLength(name=EMBEDDING)(y)


def _block(x: keras.KerasTensor, name: str, heads: int) -> keras.KerasTensor:
    y = _norm(f"{name}_norm1")(x)
    y = SelfAttention(heads, name=f"{name}_attention")(y)
    x = layers.Add(name=f"{name}_attended")([x, y])
    y = _norm(f"{name}_norm2")(x)
    y = layers.Dense(4 * x.shape[-1], name=f"{name}_fc1")(y)
    y = QuickGELU(name=f"{name}_gelu")(y)
    y = layers.Dense(x.shape[-1], name=f"{name}_fc2")(y)
    return layers.Add(name=name)([x, y])


def _norm(name: str) -> layers.Layer:
    return layers.LayerNormalization(epsilon=_EPSILON, name=name)


@register(
    "clip",
    stages=STAGES,
    recipe=RECIPE,
    weights={"openai": clip_weights.load_from_pip},
    read_weights=clip_weights.load_from_file,
    native_size=NATIVE_SIZE,
    image_size=NATIVE_SIZE,
    pooling=TokenPooling,
    averages_flips=False,
    ood_parts=_CLASS_TOKENS,
    # At 1 % a third of the fakes of generators that it was never shown would
    # pass for usual images, at 5 % a twentieth; see benchmarks/recipes.md. Of
    # several data sets see dfk/training/calibrate.py.
    ood_rate=0.05,
)
def clip(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    """CLIP's image tower as a detector's backbone."""
    tokens, embedding = image_tower(x)
    *before, last = [tokens[number - 1] for number in SEEN]
    return [*before, AlsoComputes(name="with_embedding")([last, embedding])]
