"""Self-blended fakes of a split's real images."""

import hashlib

import numpy as np
import tensorflow as tf

from dfk.data import FaceSplit
from dfk.data.faces import fits
from dfk.errors import UserError
from dfk.files import cached_arrays
from dfk.images.faces import Face, find_faces
from dfk.images.self_blending import self_blend
from dfk.progress import track


class SelfBlends:
    """Makes new self-blended fakes in every epoch.

    Each fake comes with the image that it was blended into, as a real one.
    Both may have a slight change of colour, which therefore tells nothing, and
    the seam is what is learnt. Real images in which MTCNN finds no face are
    left out. Faces are detected once and then cached on disk; the decoded
    images stay in memory if they fit.

    Args:
        split: the training split, or the one to validate on.
        share: how many of its real faces, 0..1, each epoch blends.

    Raises:
        UserError: none of them shows a face.

    Example:
        >>> blends = SelfBlends(faces.splits["train"], share=0.5)
        >>> blends.split(seed=7).size == blends.size
        True

    Reference:
        Shiohara & Yamasaki, "Detecting Deepfakes with Self-Blended Images",
        CVPR 2022.
    """

    def __init__(self, split: FaceSplit, share: float):
        faces = cached_arrays("faces", split.version, lambda: _find(split))
        self._split, self._share = split, share
        self._boxes, self._keypoints = faces["boxes"], faces["keypoints"]
        found = self._boxes[:, 2] > 0
        self._found = np.flatnonzero(found)
        if not len(self._found):
            raise UserError(
                "--blend needs real pictures with a face, but MTCNN found "
                f"none in the {split.name} split: train without --blend."
            )
        self._reals = split.examples.enumerate().filter(
            lambda index, _: tf.constant(found)[index]
        )
        if fits(split):
            self._reals = self._reals.cache()
        self._count = max(1, round(share * len(self._found)))
        self.size = 2 * self._count

    def split(self, seed: int) -> FaceSplit:
        """One epoch's fakes, and the images they were blended into, as a split.

        Args:
            seed: of the choice and of the blends.

        Returns:
            Fakes and reals alternating, with the real images' ids and groups.
        """
        settings = (self._split.version, self._share, seed)
        return FaceSplit(
            f"{self._split.name}-blends",
            self.size,
            self._blended(seed),
            hashlib.sha256(repr(settings).encode()).hexdigest(),
            self._split.listing,
        )

    def _blended(self, seed: int) -> tf.data.Dataset:
        shape = self._split.examples.element_spec["image"].shape
        chosen = np.zeros(len(self._boxes), bool)
        rng = np.random.default_rng(seed)
        chosen[rng.permutation(self._found)[: self._count]] = True
        chosen = tf.constant(chosen)
        boxes, keypoints = map(tf.constant, (self._boxes, self._keypoints))

        def blend(index, example):
            image = example["image"]
            both = tf.numpy_function(
                _blend,
                [image, boxes[index], keypoints[index], [seed, index]],
                tf.uint8,
                stateful=False,
            )
            twice = {key: tf.stack([example[key]] * 2) for key in example}
            return twice | {
                "image": tf.ensure_shape(both, [2, *shape]),
                "label": tf.constant([1, 0], tf.int64),
            }

        return (
            self._reals.filter(lambda index, _: chosen[index])
            .map(blend, num_parallel_calls=tf.data.AUTOTUNE)
            .unbatch()
            .apply(tf.data.experimental.assert_cardinality(self.size))
        )


def _blend(
    image: np.ndarray, box: np.ndarray, keypoints: np.ndarray, seed: np.ndarray
) -> np.ndarray:
    face = Face(tuple(box.tolist()), 1.0, tuple(map(tuple, keypoints.tolist())))
    made = self_blend(image, face, np.random.default_rng(seed))
    return np.stack([made.image, made.target])


def _find(split: FaceSplit) -> dict[str, np.ndarray]:
    """The first face of each real image; zeros where there is none."""
    boxes = np.zeros((split.size, 4), np.int64)
    keypoints = np.zeros((split.size, 5, 2))
    examples = track(split.examples, f"faces of {split.name}", split.size)
    for row, example in enumerate(examples):
        if int(example["label"]):
            continue
        for face in find_faces(example["image"].numpy())[:1]:
            boxes[row], keypoints[row] = face.box, face.keypoints
    return {"boxes": boxes, "keypoints": keypoints}
