"""Where in a picture a detector saw what speaks for its score.

Reference:
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization", ICCV 2017; Draelos & Carin, "Use HiResCAM
    instead of Grad-CAM for faithful explanations of convolutional neural
    networks", 2020, arXiv:2011.08891.
"""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dfk.errors import UserError
from dfk.models import embedder
from dfk.models.views import MomentPooling

BATCH_SIZE = 16


class _Part(NamedTuple):
    """From images to the last feature maps and to a share of the logit."""

    maps_and_features: keras.Model
    head: keras.Model
    weight: float


def heat_maps(
    detector: keras.Model, images: np.ndarray, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """Maps the evidence for the side that a detector takes.

    The gradient of the logit with respect to the feature maps of the last
    stage, times the maps, place by place, summed over the channels: Grad-CAM
    without its averaging of the gradient over the places (HiResCAM). A head
    that pools deviations has another gradient in each place, which Grad-CAM
    would average away: on self-blended pictures, the heat predicts the blended
    face with an area under the ROC curve of .86, that of Grad-CAM++ with .83
    and that of Grad-CAM with .75 (see `benchmarks/recipes.md`).

    A picture above a probability of 0.5 shows what speaks for fake, one below
    what speaks for real. Both views are mapped, that of the mirror image
    mirrored back. Maps are as coarse as the last stage: one of 5 x 5 shows a
    region, not a pixel.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`; of a
            combination, the parts that have feature maps are added up.
        images: `[N, S, S, 3]`, RGB in 0..255.
        batch_size: how many images are mapped at a time.

    Returns:
        float32 `[N, S, S]` in 0..1, where 1 is the hottest place of each
        picture; 0 everywhere in a picture with no evidence for its side.

    Raises:
        UserError: a combination none of whose parts has feature maps.

    Example:
        >>> heat = heat_maps(load("runs/facenet"), images)
        >>> heat[0].max()
        1.0
    """
    parts = list(_parts(detector))
    if not parts:
        raise UserError(
            f"{detector.name} has no feature maps to explain: pass one of the "
            "detectors that it combines."
        )
    size = detector.input_shape[1]
    heat = []
    for start in range(0, len(images), batch_size):
        batch = tf.cast(images[start : start + batch_size], tf.float32)
        side = tf.sign(detector(batch, training=False)[:, :, None, None] - 0.5)
        evidence = sum(_evidence(part, batch, size) for part in parts)
        positive = tf.nn.relu(side * evidence)
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
        if any(isinstance(x, MomentPooling) for x in extractor.layers):
            head = detector.get_layer(f"part{number}_logit")
            yield _Part(_with_maps(extractor), head, float(weight))


def _with_maps(extractor: keras.Model) -> keras.Model:
    *_, last = (x for x in extractor.layers if isinstance(x, MomentPooling))
    return keras.Model(extractor.inputs, [last.input, extractor.outputs[0]])


def _evidence(part: _Part, images: tf.Tensor, size: int) -> tf.Tensor:
    """What each place adds to the logit, `[N, size, size, 1]`."""
    with tf.GradientTape() as tape:
        # Of frozen layers nothing else would be recorded.
        tape.watch(images)
        maps, features = part.maps_and_features(images, training=False)
        logit = part.weight * part.head(features, training=False)
    gradient = tape.gradient(logit, maps)
    evidence = tf.reduce_sum(
        tf.cast(gradient * maps, tf.float32), axis=-1, keepdims=True
    )
    view, mirrored = tf.split(evidence, 2)
    evidence = (view + mirrored[:, :, ::-1]) / 2
    # So that parts with maps of different sides keep their proportions.
    density = evidence.shape[1] * evidence.shape[2]
    return density * tf.image.resize(evidence, (size, size))
