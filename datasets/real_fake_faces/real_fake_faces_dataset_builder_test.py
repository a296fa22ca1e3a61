"""Builds both kinds of configurations from images that the tests make."""

import hashlib
import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import ClassVar
from unittest import mock

import matplotlib.cbook
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dfk.data import sample
from dfk.datasets.real_fake_faces import Builder
from dfk.datasets.real_fake_faces.real_fake_faces_dataset_builder import (
    KaggleConfig,
    SampleConfig,
)

REQUIREMENT = "photographs==1.0"


class KaggleTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": 6, "validation": 2, "test": 4}

    @classmethod
    def setUpClass(cls):
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        write_kaggle_archive(folder, per_class=4)
        cls.EXAMPLE_DIR = folder
        cls.BUILDER_CONFIG_NAMES_TO_TEST = [
            KaggleConfig(
                name="small_kaggle",
                image_size=16,
                found={"train": 4, "validation": 4, "test": 4},
                taken={"train": 3, "validation": 1, "test": 2},
            )
        ]
        super().setUpClass()


class SampleTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": 4, "validation": 4, "test": 4}

    @classmethod
    def setUpClass(cls):
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        digest = write_photographs(folder / "photographs-1.0" / "1.tar.gz")
        cache = mock.patch.dict(os.environ, DFK_CACHE=str(folder))
        cls.enterClassContext(cache)
        cls.EXAMPLE_DIR = folder
        cls.BUILDER_CONFIG_NAMES_TO_TEST = [
            SampleConfig(
                name="small_sample",
                image_size=32,
                requirement=REQUIREMENT,
                digest=digest,
                photographs=4,
                faceless=1,
                held_out=1,
                crops=2,
            )
        ]
        super().setUpClass()


def test_the_recorded_checksum_is_the_one_that_is_checked():
    recorded = Builder.url_infos[sample.REQUIREMENT]
    assert recorded.checksum == sample.DIGEST


def write_kaggle_archive(folder: Path, per_class: int) -> None:
    """Writes an archive of noise in the folders of Kaggle's."""
    rng = np.random.default_rng(0)
    for split in ("train", "valid", "test"):
        for label in ("real", "fake"):
            part = folder / "real_vs_fake" / "real-vs-fake" / split / label
            part.mkdir(parents=True)
            for index in range(per_class):
                noise = rng.integers(0, 256, (24, 24, 3), np.uint8)
                name = f"{split}-{label}-{index}.jpg"
                Image.fromarray(noise).save(part / name)


def write_photographs(path: Path) -> str:
    """Writes a source archive of photographs; returns its SHA-256.

    Three show one face in different light and one shows none.
    """
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        photograph = Image.open(file).convert("RGB").crop((100, 20, 420, 420))
    light = np.linspace(0.15, 1.5, 320)[None, :, None]
    images = {
        "train/plain": np.asarray(photograph),
        "train/from_the_right": photograph * light,
        "val/from_the_left": photograph * light[:, ::-1],
        "val/nobody": np.full((90, 90, 3), 127),
    }
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for name, pixels in images.items():
            buffer = io.BytesIO()
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(buffer, "JPEG", quality=95)
            member = tarfile.TarInfo(
                "photographs-1.0/examples/5-celebrity-faces-dataset/data/"
                f"{name}.jpg"
            )
            member.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(member, buffer)
    return hashlib.sha256(path.read_bytes()).hexdigest()
