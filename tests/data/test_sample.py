import io
import tarfile

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image, ImageOps

from dfk.data import sample
from dfk.data.sample import Photograph
from dfk.errors import UserError
from dfk.images.faces import Face


def photograph(name, seed, group=None):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    pixels = np.array(Image.fromarray(coarse).resize((100, 120)))
    points = ((38, 50), (62, 50), (50, 62), (41, 76), (59, 76))
    face = Face((25, 30, 50, 60), 1.0, points)
    return Photograph(name, pixels, face, group or name)


def mirrored(original, name):
    pixels = np.ascontiguousarray(original.pixels[:, ::-1])
    return Photograph(name, pixels, original.face, name)


def jpeg(image):
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files():
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = Image.open(file).crop((100, 20, 420, 420))
    return {
        "a/nobody.jpg": jpeg(Image.new("L", (90, 90))),
        "b/plain.jpg": jpeg(hopper),
        "b/small.jpg": jpeg(ImageOps.mirror(hopper).resize((240, 300))),
    }


@pytest.fixture(scope="module")
def found(files):
    return list(sample.photographs(files, expected=3, faceless=1))


def test_photographs_are_read_from_the_archive(tmp_path, files):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for part, name in zip(("val", "train", "train"), files, strict=True):
            member = tarfile.TarInfo(
                f"p-1/examples/5-celebrity-faces-dataset/data/{part}/{name}"
            )
            member.size = len(files[name])
            tar.addfile(member, io.BytesIO(files[name]))
        tar.addfile(tarfile.TarInfo("p-1/model/weights.h5"))
    assert sample.read(path) == files


def test_photographs_without_a_face_are_skipped(files, found):
    assert [photograph.name for photograph in found] == list(files)[1:]


def test_other_numbers_than_the_known_ones_are_refused(files):
    with pytest.raises(UserError, match=r"Found 3 photographs .* 118"):
        list(sample.photographs(files, expected=118, faceless=1))
    nobody = {"a/nobody.jpg": files["a/nobody.jpg"]}
    with pytest.raises(UserError, match=r"Skipped 1 photographs .* 0 were"):
        list(sample.photographs(nobody, expected=1, faceless=0))


def test_two_versions_of_a_photograph_share_a_group(found):
    assert {p.group for p in sample.group(found)} == {"b/plain.jpg"}


def test_different_photographs_have_different_groups():
    found = [photograph(f"{seed}.jpg", seed) for seed in range(8)]
    found.append(mirrored(found[3], "z.jpg"))
    grouped = sample.group(found)
    assert [p.group for p in grouped[:8]] == [p.name for p in found[:8]]
    assert grouped[8].group == "3.jpg"


def test_groups_stay_in_one_split():
    found = [photograph(f"{i}.jpg", i, f"group {i // 3}") for i in range(30)]
    parts = sample.split(found, held_out=4)
    groups = [{p.group for p in part} for part in parts.values()]
    assert [len(part) for part in parts.values()] == [18, 6, 6]
    assert not groups[0] & groups[1] | groups[1] & groups[2]
    assert not groups[0] & groups[2]
    again = sample.split(found[::-1], held_out=4)
    assert [{p.group for p in part} for part in again.values()] == groups


def test_each_crop_gives_one_real_and_one_fake_image():
    found = [photograph("a.jpg", 0, "a"), photograph("b.jpg", 1, "b")]
    rows = list(sample.examples(found, crops=3, image_size=48))
    assert [row["label"] for row in rows] == [0, 1] * 6
    assert len({row["id"] for row in rows}) == 12
    assert {row["group"] for row in rows} == {"a", "b"}
    assert all(row["image"].shape == (48, 48, 3) for row in rows)


def test_nothing_but_the_blend_tells_a_pair_apart():
    rows = list(sample.examples([photograph("a.jpg", 0)], 4, 96))
    for real, fake in zip(rows[::2], rows[1::2], strict=True):
        difference = np.abs(real["image"].astype(int) - fake["image"])
        assert difference[30:70, 30:70].max() > 5
        assert difference[:4].max() == 0
        assert difference[-2:].max() == 0


def test_examples_are_deterministic():
    first, second = (
        list(sample.examples([photograph("a.jpg", 0)], 2, 32)) for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
