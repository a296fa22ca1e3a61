import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from splits import SIZES, column, read

from dfk import data as dfk_data
from dfk.data import sources
from dfk.errors import UserError
from dfk.images import decode


def test_a_manual_dir_without_the_archive_is_refused(tmp_path):
    with pytest.raises(UserError, match="--manual_dir must hold"):
        sources.load("real_fake_faces/kaggle", manual_dir=str(tmp_path))


@pytest.fixture
def small_kaggle(folder, monkeypatch):
    """The `kaggle` configuration, with numbers that fit `folder`."""
    from dfk.datasets import real_fake_faces as package

    for split, sizes in SIZES.items():
        for label, size in zip(("real", "fake"), sizes, strict=True):
            for path in (folder / split / label).iterdir():
                path.rename(path.with_name(f"{label}{path.name}"))
            for index in range(2, size):
                (folder / split / label / f"{label}{index}.jpg").unlink()
    numbers = {"train": 2, "validation": 2, "test": 2}
    config = package.real_fake_faces_dataset_builder.KaggleConfig(
        name="kaggle", image_size=16, found=numbers, taken=numbers
    )
    configs = package.Builder.builder_configs
    monkeypatch.setitem(configs, "kaggle", config)
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))
    return str(folder)


def test_a_tfds_data_set_is_built_once(small_kaggle, capsys):
    first = sources.load(
        "real_fake_faces/kaggle", splits=["train"], manual_dir=small_kaggle
    )
    assert capsys.readouterr().out == ""
    shutil.rmtree(f"{small_kaggle}/train")
    second = sources.load(
        "real_fake_faces/kaggle", splits=["train"], limit=3, image_size=8
    )
    assert first.image_size == 16
    assert second.image_size == 8
    train, part = first.splits["train"], second.splits["train"]
    assert column(train, "label") == [0, 1, 0, 1]
    assert column(part, "id") == column(train, "id")[:3]
    assert column(part, "group") == column(part, "id")
    assert read(train)[0]["image"].shape == (16, 16, 3)
    np.testing.assert_array_equal(
        read(part)[0]["image"],
        decode.center_crop_resize(read(train)[0]["image"], 8),
    )
    last = read(train)[-1]
    (found,) = train.chosen([last["id"].decode()]).as_numpy_iterator()
    np.testing.assert_array_equal(found["image"], last["image"])


@pytest.fixture
def built(small_kaggle):
    """The folder of a built data set."""
    sources.load(
        "real_fake_faces/kaggle", splits=["train"], manual_dir=small_kaggle
    )
    (folder,) = Path(small_kaggle).glob("tfds/real_fake_faces/kaggle/*")
    return folder


def _lacks_a_record(folder):
    (records,) = folder.glob("*-train.tfrecord*")
    content = records.read_bytes()
    # Its length, the checksum of that, and the checksum of the example.
    first = int.from_bytes(content[:8], "little") + 16
    records.write_bytes(content[first:])


def _has_a_flipped_bit(folder):
    (records,) = folder.glob("*-train.tfrecord*")
    content = bytearray(records.read_bytes())
    content[len(content) // 2] ^= 1
    records.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "dataset_info.json").write_bytes(b""),
        lambda folder: (folder / "dataset_info.json").unlink(),
        lambda folder: (folder / "dataset_info.json").write_text("{}"),
        _lacks_a_record,
        _has_a_flipped_bit,
    ],
)
def test_of_a_damaged_build_the_folder_is_named(built, damage):
    damage(built)
    with (
        pytest.raises(UserError, match=f"built in {built} is damaged: delete"),
        dfk_data.unreadable_files(),
    ):
        read(sources.load("real_fake_faces/kaggle").splits["train"])


def test_what_a_killed_build_left_is_removed(small_kaggle):
    place = Path(small_kaggle, "tfds/real_fake_faces/kaggle")
    left = place / "incomplete.ABCDEF_2.0.0"
    left.mkdir(parents=True)
    sources.load("real_fake_faces/kaggle", manual_dir=small_kaggle)
    assert [path.name for path in place.iterdir()] == ["2.0.0"]


def test_where_nothing_can_be_built_the_variable_is_named(
    small_kaggle, monkeypatch
):
    Path(small_kaggle, "file").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", f"{small_kaggle}/file")
    with pytest.raises(UserError, match="set TFDS_DATA_DIR"):
        sources.load("real_fake_faces/kaggle", manual_dir=small_kaggle)


def test_importing_the_data_sets_package_needs_no_tensorflow():
    code = "import dfk.datasets, sys; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
