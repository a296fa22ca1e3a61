import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

from dfk.data.folders import ImageFile
from dfk.embedding.collection import THUMBNAIL, find, from_dataset, from_files
from dfk.errors import UserError


def draw(path, color="gray"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), color).save(path)
    return str(path)


def pixels(collected):
    return [row["image"].numpy() for row in collected.splits[0].examples]


def test_a_split_of_a_data_set_can_be_asked_for(tmp_path):
    draw(tmp_path / "valid" / "fake" / "a.png")
    draw(tmp_path / "train" / "real" / "b.png")
    (found,) = find([str(tmp_path)], split="validation")
    assert (found.id, found.label) == ("valid/fake/a.png", "fake")


def test_a_file_that_is_named_twice_counts_once(tmp_path):
    path = draw(tmp_path / "ann" / "a.png")
    assert len(find([str(tmp_path), path, path])) == 1


def test_files_of_two_folders_keep_their_names_apart(tmp_path):
    draw(tmp_path / "one" / "a.png")
    draw(tmp_path / "two" / "a.png")
    found = find([str(tmp_path / "one"), str(tmp_path / "two")])
    assert len({file.id for file in found}) == 2


def test_a_wrong_path_is_named():
    with pytest.raises(UserError, match="No file or folder missing"):
        find(["missing.jpg"])


def test_a_folder_without_images_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"No pictures in .* JPEG"):
        find([str(tmp_path)])


def test_a_split_without_images_is_named(tmp_path):
    draw(tmp_path / "a.png")
    with pytest.raises(UserError, match="No pictures of the split test"):
        find([str(tmp_path)], split="test")


def test_readable_files_are_kept_and_others_named(tmp_path):
    Image.new("RGB", (90, 60), (10, 20, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("hello")
    listed = [*find([str(tmp_path)]), ImageFile(tmp_path / "c.jpg", "c")]
    found = from_files(listed, 32)
    assert found.columns["id"].tolist() == ["a.png"]
    assert found.columns["path"].tolist() == [str(tmp_path / "a.png")]
    assert found.thumbnails.shape == (1, THUMBNAIL, THUMBNAIL, 3)
    np.testing.assert_array_equal(pixels(found)[0][0, 0], [10, 20, 30])
    reasons = dict(sentence.split(" ", 1) for sentence in found.skipped)
    assert list(reasons) == [str(tmp_path / "b.jpg"), str(tmp_path / "c.jpg")]
    assert "decoded" in reasons[str(tmp_path / "b.jpg")]
    assert "No such file" in reasons[str(tmp_path / "c.jpg")]


@pytest.mark.parametrize("faces", [False, True])
def test_no_readable_file_is_an_error(tmp_path, faces):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(
        UserError, match=r"None of 1 files .*a\.jpg is not a picture"
    ):
        from_files(find([str(tmp_path)]), 32, faces)


def test_the_largest_face_is_cropped(tmp_path):
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = Image.open(file).convert("RGB").resize((256, 300))
    both = Image.new("RGB", (350, 310))
    both.paste(hopper, (0, 0))
    both.paste(hopper.resize((50, 58)), (280, 10))
    both.save(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    found = from_files(find([str(tmp_path)]), 64, faces=True)
    assert found.columns["id"].tolist() == ["a.png"]
    assert found.skipped == [f"{tmp_path / 'b.png'} shows no face"]
    # Around the large portrait's head, though MTCNN is surer of the small one.
    head = np.asarray(both.crop((54, 25, 208, 179)).resize((64, 64)))
    difference = np.abs(pixels(found)[0].astype(int) - head)
    assert difference.mean() < 10


def test_groups_are_identities_where_they_join_images(tmp_path, write_faces):
    write_faces(tmp_path, {"test": 2})
    found = from_dataset(str(tmp_path), 32, "test")
    assert found.thumbnails.shape == (4, THUMBNAIL, THUMBNAIL, 3)
    assert found.columns["label"].tolist() == ["real", "fake"] * 2
    assert found.columns["identity"].tolist() == [""] * 4
    (tmp_path / "groups.csv").write_text(
        "path,group\ntest/real/real000.png,a\ntest/fake/fake000.png,a\n"
    )
    found = from_dataset(str(tmp_path), 32, "test")
    assert found.columns["identity"][:2].tolist() == ["a", "a"]
