import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

from dfk.embedding import collection
from dfk.embedding.collection import THUMBNAIL, from_files
from dfk.embedding.listing import ListedImage, find
from dfk.errors import UserError


def pixels(collected):
    return [row["image"].numpy() for row in collected.splits[0].examples]


def test_readable_files_are_kept_and_others_named(tmp_path):
    Image.new("RGB", (90, 60), (10, 20, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("hello")
    listed = [*find([str(tmp_path)]), ListedImage("c", str(tmp_path / "c.jpg"))]
    found = from_files(listed, 32)
    assert [image.id for image in found.images] == ["a.png"]
    assert found.thumbnails.shape == (1, THUMBNAIL, THUMBNAIL, 3)
    np.testing.assert_array_equal(pixels(found)[0][0, 0], [10, 20, 30])
    assert found.skipped == [
        f"{tmp_path / 'b.jpg'} is no picture that can be decoded",
        f"{tmp_path / 'c.jpg'} cannot be opened: No such file or directory",
    ]


def test_no_readable_file_is_an_error(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(
        UserError, match=r"None of 1 files .*a\.jpg is no picture"
    ):
        from_files(find([str(tmp_path)]), 32)


def test_other_contents_are_another_version(tmp_path):
    versions = []
    for color in ("red", "blue"):
        Image.new("RGB", (40, 40), color).save(tmp_path / "a.png")
        found = from_files(find([str(tmp_path)]), 32)
        versions.append(found.splits[0].version)
    assert versions[0] != versions[1]


def test_the_largest_face_is_cut_out(tmp_path):
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = Image.open(file).convert("RGB")
    both = Image.new("RGB", (700, 620))
    both.paste(hopper, (0, 0))
    both.paste(hopper.resize((100, 117)), (560, 20))
    both.save(tmp_path / "a.png")
    Image.new("RGB", (90, 90)).save(tmp_path / "b.png")
    found = from_files(find([str(tmp_path)]), 64, faces=True)
    assert found.skipped == [f"{tmp_path / 'b.png'} shows no face"]
    # Around the large portrait's head, though MTCNN is surer of the small one.
    face = np.asarray(both.crop((115, 62, 406, 353)).resize((64, 64)))
    difference = np.abs(pixels(found)[0].astype(int) - face)
    assert difference.mean() < 10


def test_groups_of_one_image_each_are_no_identities():
    listed = [ListedImage("a", identity="a"), ListedImage("b", identity="b")]
    dropped = collection.without_trivial_groups(listed)
    assert [image.identity for image in dropped] == ["", ""]
    same = [ListedImage("a", identity="a"), ListedImage("b", identity="a")]
    assert collection.without_trivial_groups(same) == same
