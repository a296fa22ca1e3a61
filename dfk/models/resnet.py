"""ResNet50 with ImageNet weights, from Keras Applications.

Its weights were trained on pixels in BGR order minus the channel means
("caffe" preprocessing). Public notebooks stay at 70 % because they feed it
pixels in 0..1, or never unfreeze it.

Reference:
    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

import keras
from keras import layers

from dfk.models.registry import Recipe, register
from dfk.models.weights import imagenet_loader

# Means of the ImageNet training set in RGB order, in 0..255.
_MEANS = (123.68, 116.779, 103.939)

# Not tried, for lack of the weights. The learning rate is that of FaceNet,
# whose backbone is of the same kind and size.
RECIPE = Recipe(unfreeze="conv3", epochs=12, patience=6, learning_rate=1e-4)

STAGES = {
    "stem": ("conv1_",),
    "conv2": ("conv2_",),
    "conv3": ("conv3_",),
    "conv4": ("conv4_",),
    "conv5": ("conv5_",),
}


@keras.saving.register_keras_serializable("dfk")
class CaffePreprocessing(layers.Layer):
    """RGB pixels in 0..255 to BGR minus ImageNet's channel means."""

    def call(self, images):
        """Subtracts the means, then reverses the channels."""
        means = keras.ops.convert_to_tensor(_MEANS, images.dtype)
        return keras.ops.flip(images - means, axis=-1)


@register(
    "resnet",
    stages=STAGES,
    recipe=RECIPE,
    weights={"imagenet": imagenet_loader(keras.applications.ResNet50)},
    native_size=224,
)
def resnet(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    """ResNet50's backbone as a detector's."""
    x = CaffePreprocessing(name="preprocess", dtype="float32")(x)
    backbone = keras.applications.ResNet50(
        include_top=False, weights=None, input_tensor=x
    )
    ends = (
        "conv2_block3_out",
        "conv3_block4_out",
        "conv4_block6_out",
        "conv5_block3_out",
    )
    return [backbone.get_layer(name).output for name in ends]
