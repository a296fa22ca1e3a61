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

    root = folders.root(Path(FLAGS.data_dir))
    if root is None:
        raise UserError(f"{FLAGS.data_dir} has no folder train: pass FACES.")
    group_of = folders.groups(root)

    def group(path: Path) -> str:
        return group_of.get(path.relative_to(root).as_posix(), path.name)

    def images(split: str) -> list[Path]:
        folder = folders.split_folder(root, split)
        if folder is None:
            raise UserError(f"{root} has no {split} split: pass FACES.")
        labels = (folder / label for label in folders.LABELS)
        return [path for label in labels for path in folders.images(label)]

    training = images("train")
    groups = sorted({group(path) for path in training}, key=_rank)
    held_out = set(groups[: round(_HELD_OUT * len(groups))])
    parts = {
        "train": [path for path in training if group(path) not in held_out],
        "valid": images("validation"),
        "test": [path for path in training if group(path) in held_out],
    }
    rows = [("path", "group")]
    for split, paths in parts.items():
        for path in paths:
            place = Path(split, path.parent.name, path.name)
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            (out / place).symlink_to(path.resolve())
            rows.append((place.as_posix(), group(path)))
        print(f"{out / split}: {len(paths):,} pictures")
    if group_of:
        with (out / "groups.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


if __name__ == "__main__":
    cli.run(main)
