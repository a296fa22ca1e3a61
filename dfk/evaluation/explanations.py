"""Where in an image a detector saw what speaks for its verdict.

Reference:
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization", ICCV 2017; Draelos & Carin, "Use HiResCAM
    instead of Grad-CAM for faithful explanations of convolutional neural
    networks", 2020, arXiv:2011.08891.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dfk.errors import UserError
from dfk.models import embedder
from dfk.models.layers import MomentPooling

BATCH_SIZE = 16


class _Part(NamedTuple):
    """From images to the last feature maps and to a share of the logit."""

    maps_and_features: keras.Model
    head: keras.Model
    weight: float


def heat_maps(
    detector: keras.Model,
    images: np.ndarray,
    verdicts: Sequence[str],
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Maps the evidence for a detector's verdicts.

    The gradient of the logit with respect to the feature maps of the last
    stage, times the maps, place by place, summed over the channels: Grad-CAM
    without its averaging of the gradient over the places (HiResCAM). A head
    that pools deviations has another gradient in each place, which Grad-CAM
    would average away: on self-blended images, the heat predicts the blended
    face with an area under the ROC curve of .86, that of Grad-CAM++ with .83
    and that of Grad-CAM with .75 (see `benchmarks/recipes.md`).

    For `real` it shows what speaks for real, for `fake` and `uncertain` what
    speaks for fake. Both views are mapped, that of the mirror image mirrored
    back. Maps are as coarse as the last stage: one of 5 x 5 shows a region,
    not a pixel. The hottest place is 1 whether the evidence is strong or weak.
    Self-blended images, where the truth is known, were recognised by a small
    network; on generated faces there is no truth to check a map against.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`; of a
            combination, the evidence of all parts is added up.
        images: `[N, S, S, 3]`, RGB in 0..255.
        verdicts: what the detector said of each of them.
        batch_size: how many images are mapped at a time.

    Returns:
        float32 `[N, S, S]` in 0..1, where 1 is the hottest place of each
        image; 0 everywhere in an image with no evidence for its verdict.

    Raises:
        UserError: a combination with a part that cannot be explained: it has
            no feature maps, or decides by trees, which have no gradient.

    Example:
        >>> heat = heat_maps(load("runs/facenet"), images, ["fake"])
        >>> heat[0].max()
        1.0
    """
    parts = list(_parts(detector))
    sides = np.where(np.array(verdicts) == "real", -1.0, 1.0)
    size = detector.input_shape[1]
    heat = []
    for start in range(0, len(images), batch_size):
        batch = tf.cast(images[start : start + batch_size], tf.float32)
        side = tf.cast(sides[start : start + batch_size], tf.float32)
        evidence = sum(_evidence(part, batch, size) for part in parts)
        positive = tf.nn.relu(side[:, None, None, None] * evidence)
        hottest = tf.reduce_max(positive, axis=(1, 2), keepdims=True)
        heat.append(tf.math.divide_no_nan(positive, hottest)[..., 0].numpy())
    return np.concatenate(heat)


def _parts(detector: keras.Model) -> Iterator[_Part]:
    names = {layer.name for layer in detector.layers}
    logit = detector.get_layer("logit")
    if "part_logits" not in names:
        extractor = embedder(detector)
        head = keras.Model(extractor.output, logit.output)
        yield _Part(_with_maps(extractor), head, 1.0)
        return
    for number, weight in enumerate(logit.get_weights()[0][:, 0], 1):
        extractor = detector.get_layer(f"part{number}_features")
        head = detector.get_layer(f"part{number}_logit")
        yield _Part(_with_maps(extractor), head, float(weight))


def _with_maps(extractor: keras.Model) -> keras.Model:
    pooled = [x for x in extractor.layers if isinstance(x, MomentPooling)]
    if not pooled:
        raise _inexplicable("has no feature maps")
    return keras.Model(
        extractor.inputs, [pooled[-1].input, extractor.outputs[0]]
    )


def _inexplicable(reason: str) -> UserError:
    return UserError(
        f"A part of this combination cannot be explained, since it {reason}: "
        "explain one of the runs that it combines."
    )


def _evidence(part: _Part, images: tf.Tensor, size: int) -> tf.Tensor:
    """What each place adds to the logit, `[N, size, size, 1]`."""
    with tf.GradientTape() as tape:
        # Of frozen layers nothing else would be recorded.
        tape.watch(images)
        maps, features = part.maps_and_features(images, training=False)
        logit = part.weight * part.head(features, training=False)
    gradient = tape.gradient(logit, maps)
    if gradient is None:
        raise _inexplicable("decides by trees")
    evidence = tf.reduce_sum(
        tf.cast(gradient * maps, tf.float32), axis=-1, keepdims=True
    )
    view, mirrored = tf.split(evidence, 2)
    evidence = (view + mirrored[:, :, ::-1]) / 2
    # So that parts with maps of different sides keep their proportions.
    density = evidence.shape[1] * evidence.shape[2]
    return density * tf.image.resize(evidence, (size, size))
