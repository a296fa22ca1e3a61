"""Makes *dev* of a folder of faces: a training part to choose recipes on.

  python benchmarks/hold_out.py --data_dir=FACES --out=DEV

DEV has three quarters of FACES's training images as `train`, its validation
split as `valid`, and the other quarter of the training images as `test`, all
as links. FACES's own test split is left out. Images of one group (groups.csv)
stay together. The groups with the smallest SHA-256 of their names are held
out, so that the choice is the same everywhere.
"""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from dfk import cli
from dfk.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_string("data_dir", None, "Folder of pictures.", required=True)
flags.DEFINE_string("out", None, "The folder to make.", required=True)

_HELD_OUT = 0.25


def main(argv: Sequence[str]) -> None:
    """Makes the folder and prints its numbers of images."""
    cli.no_arguments(argv)
    out = Path(FLAGS.out)
    if out.exists():
        raise UserError(f"{out} exists already: pass another --out.")
    cli.start_tensorflow()
    from dfk.data import folders

    listed = folders.ImageFolder(Path(FLAGS.data_dir))

    def group(image: folders.ImageFile) -> str:
        return image.group or image.path.name

    def images(split: str) -> list[folders.ImageFile]:
        found = listed.splits().get(split)
        if found is None:
            raise UserError(f"{listed.root} has no {split} split: pass FACES.")
        return found

    training = images("train")
    groups = sorted({group(image) for image in training}, key=_rank)
    held_out = set(groups[: round(_HELD_OUT * len(groups))])
    parts = {
        "train": [each for each in training if group(each) not in held_out],
        "valid": images("validation"),
        "test": [each for each in training if group(each) in held_out],
    }
    rows = [("path", "group")]
    for split, found in parts.items():
        for image in found:
            place = Path(split, image.label, image.path.name)
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            (out / place).symlink_to(image.path.resolve())
            rows.append((place.as_posix(), group(image)))
        print(f"{out / split}: {len(found):,} pictures")
    if any(image.group for found in parts.values() for image in found):
        with (out / "groups.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


if __name__ == "__main__":
    cli.run(main)
