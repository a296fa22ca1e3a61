"""Heat maps: where in an image the evidence for a verdict is.

Reference:
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization", ICCV 2017; Draelos & Carin, "Use HiResCAM
    instead of Grad-CAM for faithful explanations of convolutional neural
    networks", 2020, arXiv:2011.08891.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image

from dfk.errors import UserError
from dfk.models.clip import TokenPooling
from dfk.models.combination import Part, flatten
from dfk.models.layers import MomentPooling

# What makes a vector of a stage: its input has positions.
_POOLING = (MomentPooling, TokenPooling)
BATCH_SIZE = 16

# Dark where there is nothing, bright where there is most; read alike by the
# colour-blind.
COLOR_MAP = matplotlib.colormaps["inferno"]
_OPACITY = 0.75


def heat_maps(
    detector: keras.Model,
    images: np.ndarray,
    verdicts: Sequence[str],
) -> np.ndarray:
    """Maps the evidence for a detector's verdicts.

    A map is the gradient of the logit with respect to the feature maps of the
    last stage, times these maps, at each position, summed over the channels.
    This is Grad-CAM without its averaging of the gradient over the positions
    (HiResCAM). A head that pools deviations has another gradient at each
    position, which Grad-CAM would average away: on self-blended images, the
    heat predicts the blended face with a ROC AUC of .86, that of Grad-CAM++
    with .83 and that of Grad-CAM with .75 (see `benchmarks/recipes.md`).

    For `real` it shows the evidence for real, for `fake` and `uncertain` the
    evidence for fake. The image and its flip are both mapped, and the map of
    the flip is flipped back. Maps are as coarse as the last stage: one of
    5 x 5 shows a region, not a pixel. The hottest position is 1 whether the
    evidence is strong or weak. The numbers above come from a small network
    that recognised self-blended images, where the truth is known; generated
    faces have no truth to check a map against.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`; of a
            combination, the evidence of all parts is added up.
        images: `[N, S, S, 3]`, RGB in 0..255.
        verdicts: the detector's for each of them.

    Returns:
        float32 `[N, S, S]` in 0..1, where 1 is the hottest position of each
        image; 0 everywhere in an image with no evidence for its verdict.

    Raises:
        UserError: a combination with a part that cannot be explained: it has
            no feature maps, or decides by trees, which have no gradient.

    Example:
        >>> heat = heat_maps(load("runs/facenet"), images, ["fake"])
        >>> heat[0].max()
        1.0
    """
    parts, weights, _ = flatten([detector], [1.0], 0.0)
    parts = list(map(_with_maps, parts))
    signs = np.where(np.array(verdicts) == "real", -1.0, 1.0)
    size = detector.input_shape[1]
    heat = []
    for start in range(0, len(images), BATCH_SIZE):
        batch = tf.cast(images[start : start + BATCH_SIZE], tf.float32)
        sign = tf.cast(signs[start : start + BATCH_SIZE], tf.float32)
        evidence = sum(
            _evidence(part, weight, batch, size)
            for part, weight in zip(parts, weights, strict=True)
        )
        positive = tf.nn.relu(sign[:, None, None, None] * evidence)
        hottest = tf.reduce_max(positive, axis=(1, 2), keepdims=True)
        heat.append(tf.math.divide_no_nan(positive, hottest)[..., 0].numpy())
    return np.concatenate(heat)


def _with_maps(part: Part) -> Part:
    """The part divided at its maps, the last stage's at the end."""
    inputs, (features,) = part.extractor.inputs, part.extractor.outputs
    layers = part.extractor.layers
    maps = [x.input for x in layers if isinstance(x, _POOLING)]
    if not maps:
        raise _unexplained("has no feature maps")
    return dataclasses.replace(
        part,
        extractor=keras.Model(inputs, maps),
        head=keras.Model(maps, part.head(features)),
    )


def _unexplained(reason: str) -> UserError:
    return UserError(
        f"A part of this combination cannot be explained, since it {reason}: "
        "explain one of the runs that it combines."
    )


def _evidence(
    part: Part, weight: float, images: tf.Tensor, size: int
) -> tf.Tensor:
    """What each position adds to the logit, `[N, size, size, 1]`."""
    # Of a single stage it is no list.
    found = keras.tree.flatten(part.extractor(images, training=False))
    maps = found[-1]
    # Not through all that comes before the maps, where most of the time is.
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(maps)
        logit = weight * part.head(found, training=False)
    gradient = tape.gradient(logit, maps)
    if gradient is None:
        raise _unexplained("decides by trees")
    evidence = tf.reduce_sum(tf.cast(gradient * maps, tf.float32), axis=-1)
    if evidence.shape.rank == 2:
        # Tokens: the class token, and then one for each patch.
        side = math.isqrt(evidence.shape[1] - 1)
        evidence = tf.reshape(evidence[:, 1:], (-1, side, side))
    evidence = evidence[..., None]
    if len(evidence) == 2 * len(images):
        straight, flipped = tf.split(evidence, 2)
        evidence = (straight + flipped[:, :, ::-1]) / 2
    # So that parts with maps of different sizes keep their proportions.
    density = evidence.shape[1] * evidence.shape[2]
    return density * tf.image.resize(evidence, (size, size))


def heated(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Draws a heat map over an image.

    Args:
        pixels: uint8 `[H, W, 3]`.
        heat: float `[h, w]` in 0..1; it is stretched over the image.

    Returns:
        uint8 `[H, W, 3]`.

    Example:
        >>> heated(np.zeros([8, 8, 3], "uint8"), np.ones([4, 4])).shape
        (8, 8, 3)
    """
    height, width = pixels.shape[:2]
    stretched = np.asarray(
        Image.fromarray(heat.astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
    )[..., None]
    colors = 255 * COLOR_MAP(stretched[..., 0])[..., :3]
    opacity = _OPACITY * np.clip(stretched, 0, 1)
    mixed = (1 - opacity) * pixels + opacity * colors
    return np.round(mixed).astype(np.uint8)
