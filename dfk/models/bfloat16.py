"""A detector that multiplies in bfloat16."""

import keras

from dfk.models.clip import SelfAttention

_PRODUCTS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
    SelfAttention,
)


def in_bfloat16(detector: keras.Model) -> keras.Model:
    """A copy of a detector whose backbone multiplies in bfloat16.

    That pays on processors with instructions for it. Convolutions and maps of
    tokens, which take nearly all of the time, get their inputs and weights
    rounded to 8 significant bits. What adds up or divides stays in float32:
    residual sums, norms, softmax, pooling and the head. So does what reads
    the pixels themselves, whose last bits are what tells a fake.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A model with layers of the same names, weights and calibration, the
        weights in float32.

    Example:
        >>> faster = in_bfloat16(load("runs/clip"))
        >>> faster.get_layer("block1_fc1").compute_dtype
        'bfloat16'
    """
    copy = keras.models.clone_model(
        detector, clone_function=_copied, recursive=True
    )
    copy.set_weights(detector.get_weights())
    return copy


def _copied(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    if isinstance(layer, _PRODUCTS):
        shape = layer.get_build_config()["input_shape"]
        # Vectors are the head's, and three channels are pixels.
        if len(shape) > 2 and shape[-1] > 3:
            config["dtype"] = "mixed_bfloat16"
    return type(layer).from_config(config)
