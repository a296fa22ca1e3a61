"""Finds what in a data set would make a detector's numbers misleading.

  python -m dfk.audit DATASET [--output=PAGE.html]

DATASET is a folder {train,valid,test}/{real,fake}/*, or the name of a TFDS
data set. Checks for unreadable files, unequal classes, and groups,
near-duplicates and people that are in two splits. Measures how well image size,
file size, JPEG encoding, format, metadata and an 8x8 thumbnail tell fake from
real. Prints a verdict for each, and writes a page that shows the closest pairs,
and beside it the same as JSON.

The verdicts are ok, warning (a person should look at it), danger (numbers
measured on this data set will mislead) and not checked.

Examples:
  python -m dfk.audit faces
  python -m dfk.audit real_fake_faces/sample --output=audits/sample.html
  python -m dfk.audit faces --nopeople    # without running FaceNet
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.files import expanded

_OUTPUT = flags.DEFINE_string(
    "output", None, "The page; by default audit-<name of the data set>.html."
)
_PEOPLE = flags.DEFINE_bool(
    "people",
    True,
    "Search for people who are in two splits. It runs FaceNet over every "
    "picture, and keeps the embeddings for the next time.",
)

_STYLES = {"ok": "green", "warning": "yellow", "danger": "bold red"}


def main(argv: Sequence[str]) -> None:
    """Audits one data set and prints the verdicts."""
    if len(argv) != 2:
        raise UserError(
            "Name one data set, as in `python -m dfk.audit faces`. Received: "
            f"{len(argv) - 1} names."
        )
    _check_folder(argv[1])
    output = _output_path()
    cli.start_tensorflow()
    from dfk.auditing.audit import audit

    record = audit(argv[1], output, _PEOPLE.value)
    _print(record)
    print("Written:", *record["files"], sep="\n  ")


def _check_folder(dataset: str) -> None:
    """Answers a wrong folder before TensorFlow takes seconds to import."""
    path = expanded(dataset)
    if "," in dataset and not path.exists():
        raise UserError(
            f"One data set is audited at a time, but {dataset} names several: "
            "audit each by itself."
        )
    if path.is_file() or (
        dataset.startswith((".", "/", "~")) and not path.exists()
    ):
        raise UserError(
            f"No folder {dataset}: pass one that holds train, valid and test, "
            "each with folders real and fake, or the name of a TFDS data set."
        )


def _output_path() -> Path | None:
    if _OUTPUT.value is None:
        return None
    path = expanded(_OUTPUT.value)
    if path.suffix != ".html" or path.is_dir():
        raise UserError(
            f"--output={path} is no page: pass the path of an .html file."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output={path} cannot be written ({error.strerror}): pass "
            "another path."
        ) from error
    return path


def _print(record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    counts = [f"{count:,} {name}" for name, count in record["images"].items()]
    table = Table(
        *("check", Column("verdict", no_wrap=True), "what was found"),
        title=f"{record['dataset']}: {', '.join(counts)}",
    )
    for check in record["checks"]:
        verdict = check["verdict"]
        # As text, so that brackets in a file's name are no markup.
        table.add_row(
            check["name"],
            Text(verdict, _STYLES.get(verdict, "")),
            Text(check["sentence"]),
        )
    Console(markup=False).print(table)


if __name__ == "__main__":
    cli.run(main)
