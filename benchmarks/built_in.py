"""Writes the built-in detector into the package, from a run.

    python benchmarks/built_in.py RUN

The run's command is in dfk/models/default/about.json, and in docs/training.md.
What `dfk.evaluate` measured of it goes into the card. No image is written, and
nothing of a single one. Another detector needs another
`dfk.__detector_version__`.
"""

import os
import sys
from pathlib import Path

import dfk.models
from dfk import pages
from dfk.models import built_in
from dfk.runs import BUILT_IN, Run
from dfk.serving.export import write_card

FOLDER = Path(dfk.models.__file__).parent / BUILT_IN
LICENCE = {
    "id": "cc-by-nc-4.0",
    "text": "These weights are for research and evaluation: CC BY-NC 4.0 "
    "(https://creativecommons.org/licenses/by-nc/4.0/), as some of the data "
    "that they were trained on ask. CLIP's weights, which come by themselves, "
    "are OpenAI's (MIT). dfk's code is Apache-2.0.",
}


class Published(Run):
    """A run without the folders of the machine that it was trained on."""

    @property
    def config(self):
        """What the run was started with, and the licence of its weights."""
        return portable(super().config) | {"licence": LICENCE}

    @property
    def results(self):
        """What was measured of it."""
        return portable(super().results)


def portable(record):
    """A record with the names of folders in place of their paths."""
    if not isinstance(record, dict):
        return record
    found = {name: portable(value) for name, value in record.items()}
    if "command" in found:
        found["command"] = pages.portable_command(found["command"])
    if found.get("data_dir"):
        found["data_dir"] = pages.portable(found["data_dir"])
    return found


def main(path: str) -> None:
    """Writes head, description and card."""
    run = Published.finished(path)
    detector = dfk.models.load(run.path)
    card = built_in.write(run, detector, FOLDER)
    write_card(card, run, detector, BUILT_IN)
    for file in sorted(FOLDER.iterdir()):
        print(f"{os.path.relpath(file)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
