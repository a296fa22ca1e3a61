"""Self-blended fakes of a split's real images."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from dfk.cache import cached_arrays
from dfk.data import FaceData, FaceSplit
from dfk.data.faces import digest, fits
from dfk.errors import UserError
from dfk.images.corruptions import compressed
from dfk.images.faces import Face, find_faces
from dfk.images.self_blending import self_blend
from dfk.progress import track
from dfk.training.head_fit import Source

# The name of self-blends among several families of fakes.
FAMILY = "self-blends"
# Of the names of their splits.
SUFFIX = "-blends"
# Pictures are mostly larger than what a detector sees: this many times.
_LARGER = 8 / 7
# Every second pair is blended at a lower resolution, of this share of that size
# at least; all are then compressed at a quality between these.
_SMALLEST = 0.5
_QUALITIES = (60, 95)


def blend_sources(
    parts: Sequence[FaceData], share: float, seed: int
) -> list[Source]:
    """Self-blends of each data set, to fit a head on frozen features.

    They are blended at several scales and compressed, both pictures of a pair
    alike, so that neither tells them apart.

    Args:
        parts: the data sets, with their training splits.
        share: of how many of their real images, 0..1.
        seed: of the blends.

    Returns:
        A source for each. If there are several data sets, their family is
        `FAMILY`; of a single one they count as its own fakes.

    Raises:
        UserError: a data set shows no face.

    Example:
        >>> fit_head(model, sources + blend_sources(parts, 0.3, seed=0), ...)
    """
    sources = []
    for part in parts:
        split = part.splits["train"]
        # Only of these are the faces looked for.
        split = split.first(max(2, round(share * split.size)))
        blends = SelfBlends(split, share=1.0, varied=True).split(seed)
        if len(parts) == 1:
            sources.append(Source(part.family, blends))
        else:
            # All of them together weigh as much as another family.
            sources.append(Source(FAMILY, blends, 1 / len(parts)))
    return sources


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
        varied: whether a pair is also reduced and compressed, both alike.

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

    def __init__(self, split: FaceSplit, share: float, varied: bool = False):
        faces = cached_arrays("faces", split.version, lambda: _find(split))
        self._split, self._share, self._varied = split, share, varied
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
        settings = (self._split.version, self._share, self._varied, seed)
        if self._varied:
            settings += (_LARGER, _SMALLEST, _QUALITIES)
        return FaceSplit(
            self._split.name + SUFFIX,
            self.size,
            self._blended(seed),
            digest(*settings),
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
                [
                    *(image, boxes[index], keypoints[index]),
                    *([seed, index], self._varied),
                ],
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
    image: np.ndarray,
    box: np.ndarray,
    keypoints: np.ndarray,
    seed: np.ndarray,
    varied: bool,
) -> np.ndarray:
    face = Face(tuple(box.tolist()), 1.0, tuple(map(tuple, keypoints.tolist())))
    rng = np.random.default_rng(seed)
    if not varied:
        made = self_blend(image, face, rng)
        return np.stack([made.image, made.target])
    side = image.shape[0]
    blended_at = _LARGER * (
        rng.uniform(_SMALLEST, 1) if rng.random() < 0.5 else 1
    )
    made = self_blend(*_scaled(image, face, round(side * blended_at)), rng)
    # As a file may be: of the detector's size or larger, and compressed.
    kept_at = round(side * (1 if rng.random() < 0.5 else _LARGER))
    quality = round(rng.uniform(*_QUALITIES))
    return np.stack(
        [
            _resized(
                compressed(_resized(pixels, kept_at), "JPEG", quality), side
            )
            for pixels in (made.image, made.target)
        ]
    )


def _scaled(
    image: np.ndarray, face: Face, size: int
) -> tuple[np.ndarray, Face]:
    scale = size / image.shape[0]
    box = tuple(round(scale * length) for length in face.box)
    points = tuple((scale * x, scale * y) for x, y in face.keypoints)
    return _resized(image, size), dataclasses.replace(
        face, box=box, keypoints=points
    )


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    picture = Image.fromarray(pixels).resize((size, size), Image.LANCZOS)
    return np.asarray(picture)


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
