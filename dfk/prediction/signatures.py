"""The four signatures of a served detector, from bytes to verdicts.

* `serving_default`: `image_bytes`, string `[N]`, to `fake_probability`,
  float32 `[N]` in 0..1, `verdict`, string `[N]`, `reason`, string `[N]`: why
  the verdict is `uncertain` or `unreadable`, else empty; and `family`, string
  `[N]`: which family of fakes a fake resembles, empty where that is unclear.
* `images`: `images`, float32 `[N, S, S, 3]`, RGB in 0..255, to the same.
* `embed`: `image_bytes` to `embedding`, float32 `[N, D]` of length 1, a row of
  NaN for an unreadable image.
* `classify`: `inputs`, string `[N]` of serialized `tf.Example` with the bytes
  feature `image/encoded`, to `classes`, string `[N, 2]`, and `scores`, float32
  `[N, 2]`. An absent feature counts as an unreadable image.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from dfk import models
from dfk.data.folders import LABELS
from dfk.images.decode import decode_batch
from dfk.models.named_layers import CLASSES, LOGIT

_NAN = float("nan")
_, _FAKE = LABELS


class Outputs(NamedTuple):
    """The outputs of a detector for N images.

    Args:
        probability: float32 `[N]` in 0..1, the calibrated probability of fake.
        ood_score: float32 `[N]`; above 1 is out of distribution.
        family: string `[N]`, the family of fakes that an image resembles if
            it is fake; empty where that is unclear.
        embedding: float32 `[N, E]` of length 1: the backbone's own embedding,
            or else the features.
    """

    probability: tf.Tensor
    ood_score: tf.Tensor
    family: tf.Tensor
    embedding: tf.Tensor


def forward_pass(detector: keras.Model) -> Callable[[tf.Tensor], Outputs]:
    """The function from images to all outputs of a detector.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`.

    Returns:
        A function of images, float32 `[N, S, S, 3]` in 0..255, that runs the
        network once and can be used inside a `tf.function`.

    Example:
        >>> forward_pass(load("runs/facenet"))(images).probability
        <tf.Tensor: shape=(1,), dtype=float32, numpy=array([0.93], ...)>
    """
    parts = {
        "probability": detector.output,
        "features": models.embedder(detector).output,
        "embedding": models.embedding_model(detector).output,
    }
    if models.knows_families(detector):
        parts["classes"] = detector.get_layer(CLASSES).output
    network = keras.Model(detector.input, parts)
    ood, logit = models.ood_layer(detector), detector.get_layer(LOGIT)

    def run(images: tf.Tensor) -> Outputs:
        found = network(images, training=False)
        probability = found["probability"][:, 0]
        if "classes" in found:
            family = logit.name_of(found["classes"])
        else:
            family = tf.fill(tf.shape(probability), "")
        score = ood.score(found["features"])
        return Outputs(probability, score, family, found["embedding"])

    return run


def answers(outputs: Outputs, limits: tf.Tensor) -> dict[str, tf.Tensor]:
    """What a detector says of N images, as `serving_default` says it.

    Args:
        outputs: of its forward pass.
        limits: float32 `[2]`, those of its `CalibratedScore`.

    Returns:
        `fake_probability`, `verdict`, `reason` and `family`, each `[N]`.
    """
    verdicts = models.verdicts(outputs.probability, outputs.ood_score, limits)
    is_fake = tf.equal(verdicts["verdict"], _FAKE)
    return {
        "fake_probability": outputs.probability,
        **verdicts,
        "family": tf.where(is_fake, outputs.family, ""),
    }


def signatures(detector: keras.Model) -> dict[str, Callable]:
    """The functions that a detector is exported with.

    Each takes a batch of any size, none included. An image that cannot be
    decoded gets NaN (and the verdict `unreadable`); the others of its batch
    are answered all the same.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`, with
            input `[N, S, S, 3]`.

    Returns:
        `tf.function`s by signature name, as described above.

    Example:
        >>> answer = signatures(detector)["serving_default"]
        >>> answer(tf.constant([open("face.jpg", "rb").read()]))["verdict"]
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'fake'], ...)>
    """
    size = detector.input_shape[1]
    limits = models.score_layer(detector).limits
    pixels = tf.TensorSpec([None, size, size, 3], tf.float32, "images")
    # Called by the signatures, so that the network and the decoder are traced
    # once, and stored once in the SavedModel.
    run = _graph(pixels)(_runner(detector))
    read_and_run = _graph(_strings("image_bytes"))(_reader(size, run))

    @_graph(_strings("image_bytes"))
    def serving_default(image_bytes):
        outputs, unreadable = read_and_run(image_bytes)
        found = answers(outputs, limits)
        reason = tf.where(unreadable == "", found["reason"], unreadable)
        return found | {"reason": reason}

    @_graph(pixels)
    def from_pixels(images):
        return answers(run(images), limits)

    @_graph(_strings("image_bytes"))
    def embed(image_bytes):
        outputs, _ = read_and_run(image_bytes)
        return {"embedding": outputs.embedding}

    @_graph(_strings("inputs"))
    def classify(inputs):
        outputs, _ = read_and_run(_encoded_images(inputs))
        scores = outputs.probability
        return {
            "classes": tf.tile([LABELS], [tf.size(scores), 1]),
            "scores": tf.stack([1 - scores, scores], axis=1),
        }

    return {
        "serving_default": serving_default,
        "images": from_pixels,
        "embed": embed,
        "classify": classify,
    }


def _graph(spec: tf.TensorSpec) -> Callable[[Callable], Callable]:
    # Without autograph, which would take half of the time of an export: nothing
    # here branches in Python on what a tensor holds.
    return tf.function(input_signature=[spec], autograph=False)


def _strings(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None], tf.string, name)


def _runner(detector: keras.Model) -> Callable[[tf.Tensor], Outputs]:
    """From images `[N, S, S, 3]`, also none, to the detector's outputs."""
    network = forward_pass(detector)

    def run(images):
        # Fused convolutions refuse an empty batch, so it gets one black image,
        # whose outputs are dropped again.
        count = tf.shape(images)[0]
        extra = tf.cast(tf.equal(count, 0), tf.int32)
        padded = tf.pad(images, [[0, extra], [0, 0], [0, 0], [0, 0]])
        return Outputs(*(part[:count] for part in network(padded)))

    return run


def _reader(
    size: int, run: Callable[[tf.Tensor], Outputs]
) -> Callable[[tf.Tensor], tuple[Outputs, tf.Tensor]]:
    """From encoded images `[N]` to outputs, and why one is unreadable.

    An unreadable image has NaN for outputs, and a reason, string `[N]`, which
    is empty for all others.
    """

    def read_and_run(image_bytes):
        images, readable, reason = decode_batch(image_bytes, size)
        outputs = run(tf.cast(images, tf.float32))
        outputs = outputs._replace(
            probability=tf.where(readable, outputs.probability, _NAN),
            embedding=tf.where(readable[:, None], outputs.embedding, _NAN),
        )
        return outputs, reason

    return read_and_run


def _encoded_images(examples: tf.Tensor) -> tf.Tensor:
    """Serialized `tf.Example`s `[N]` to the bytes of their images `[N]`."""
    feature = tf.io.FixedLenFeature([], tf.string, default_value="")
    parsed = tf.io.parse_example(examples, {"image/encoded": feature})
    return parsed["image/encoded"]
