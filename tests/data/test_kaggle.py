import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dfk.data import kaggle
from dfk.errors import UserError
from dfk.images import decode


@pytest.fixture
def archive(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "valid", "test"):
        for label in ("real", "fake"):
            folder = tmp_path / "real_vs_fake/real-vs-fake" / split / label
            folder.mkdir(parents=True)
            for index in range(6):
                noise = rng.integers(0, 256, (40, 40, 3), np.uint8)
                path = folder / f"{split}-{label}-{index}.jpg"
                Image.fromarray(noise).save(path)
    return tmp_path


def ids(root, per_class=3):
    return [row["id"] for row in kaggle.examples(root, "test", per_class, 8)]


def test_the_archive_is_found_in_its_nesting(archive):
    root = kaggle.find(archive)
    assert root == archive / "real_vs_fake" / "real-vs-fake"
    assert kaggle.find(root) == root


def test_the_choice_does_not_depend_on_the_other_images(archive):
    root = kaggle.find(archive)
    chosen = ids(root)
    spare = next(
        path
        for path in (root / "test" / "real").iterdir()
        if path.name not in chosen
    )
    spare.unlink()
    assert ids(root) == chosen


def test_the_choice_is_by_hash_and_balanced(archive):
    chosen = ids(kaggle.find(archive))
    # In the order of `printf test-real-0.jpg | sha256sum` and so on.
    assert chosen == [
        "test-real-2.jpg",
        "test-fake-1.jpg",
        "test-real-4.jpg",
        "test-fake-4.jpg",
        "test-real-3.jpg",
        "test-fake-5.jpg",
    ]


def test_images_are_decoded_as_everywhere(archive):
    root = kaggle.find(archive)
    for row in kaggle.examples(root, "train", 6, 16):
        label = ("real", "fake")[row["label"]]
        data = tf.io.read_file(str(root / "train" / label / row["id"]))
        np.testing.assert_array_equal(row["image"], decode.decode(data, 16))


def test_an_incomplete_archive_is_refused_with_both_numbers(archive):
    root = kaggle.find(archive)
    published = {"train": 6, "validation": 6, "test": 6}
    kaggle.check_found(root, published)
    (root / "valid" / "fake" / "valid-fake-3.jpg").unlink()
    with pytest.raises(UserError, match=r"Found 5 fake .* validation .* 6"):
        kaggle.check_found(root, published)


def test_broken_images_are_skipped_counted_and_refused(archive):
    root = kaggle.find(archive)
    for index in (1, 4):
        (root / "test" / "fake" / f"test-fake-{index}.jpg").write_bytes(b"no")
    rows = kaggle.examples(root, "test", 6, 8)
    assert [row["label"] for row in itertools.islice(rows, 10)].count(1) == 4
    with pytest.raises(UserError, match=r"Skipped 2 broken .* 0 were expected"):
        next(rows)


def test_a_failing_download_says_what_to_do(tmp_path, monkeypatch):
    # Nothing listens there, so kagglehub's real client fails at once.
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"--manual_dir.*--data_dir.*sample"):
        kaggle.find(tmp_path)
