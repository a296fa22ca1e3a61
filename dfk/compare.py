r"""Compares runs, and says which differences are significant.

  python -m dfk.compare RUN... [--update=FILE.md] [--learning_curve=FILE.png]

A RUN is the folder of a run or of repeats that `python -m dfk.evaluate` has
measured, or `default`; all of them on the same images. Runs that differ only in
their seed are one row. Prints a table, the best ROC AUC first, with each row's
paired difference from the best, and a sentence about each difference.

Examples:
  python -m dfk.compare runs/facenet runs/cnn
  python -m dfk.compare runs/* --data_dir=other_faces --split=test
  python -m dfk.compare runs/facenet runs/cnn --update=docs/results.md
  python -m dfk.compare runs/cnn-350 runs/cnn-700 --learning_curve=curve.png
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.files import expanded

if TYPE_CHECKING:
    from dfk.evaluation.comparison import Comparison

_DATASET = flags.DEFINE_string(
    "dataset", None, "Compare the evaluations on this TFDS data set or folder."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Compare the evaluations on this folder."
)
_SPLIT = flags.DEFINE_enum(
    "split",
    None,
    ["test", "validation", "train"],
    "Which evaluation: of this split. By default the one that all runs share.",
)
_MARKDOWN = flags.DEFINE_bool("markdown", False, "Print Markdown.")
_UPDATE = flags.DEFINE_string(
    "update",
    None,
    "Write the Markdown into this file, between <!-- dfk.compare:begin --> and "
    "<!-- dfk.compare:end -->.",
)
_CURVE = flags.DEFINE_string(
    "learning_curve",
    None,
    "Draw accuracy and ROC AUC against the number of training pictures (see "
    "--limit of dfk.train) into this PNG file.",
)


def main(argv: Sequence[str]) -> None:
    """Compares the runs named on the command line."""
    if len(argv) < 2:
        raise UserError(
            "Name runs, as in `python -m dfk.compare runs/facenet runs/cnn`. "
            "Received: none."
        )
    from dfk.evaluation import tables
    from dfk.evaluation.comparison import compare

    update, curve = (
        flag.value and expanded(flag.value) for flag in (_UPDATE, _CURVE)
    )
    if curve and curve.suffix.lower() != ".png":
        raise UserError(
            "A learning curve is a PNG file: pass --learning_curve=FILE.png. "
            f"Received: --learning_curve={_CURVE.value}."
        )
    if update:
        tables.find_markers(update)
    comparison = compare(
        argv[1:], _DATASET.value, _DATA_DIR.value, _SPLIT.value
    )
    if curve:
        _draw_curve(comparison, curve)
    written = tables.markdown(comparison, _command(argv))
    if update:
        tables.update(update, written)
    if _MARKDOWN.value:
        print(written)
    else:
        _print(comparison)
    if update:
        print(f"Written into {update}.")
    if curve:
        print(f"Learning curve: {curve}")


def _draw_curve(comparison: "Comparison", path: Path) -> None:
    from dfk.evaluation import learning_curve

    source = comparison.source
    title = (
        f"{source.name}, {source.split} split, {comparison.images:,} pictures"
    )
    try:
        learning_curve.write(path, comparison.rows, title)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): pass another "
            "--learning_curve."
        ) from error


def _command(argv: Sequence[str]) -> str:
    chosen = (_DATASET, _DATA_DIR, _SPLIT, _UPDATE, _CURVE)
    given = [f"--{flag.name}={flag.value}" for flag in chosen if flag.value]
    return shlex.join(["python", "-m", "dfk.compare", *argv[1:], *given])


def _print(comparison: "Comparison") -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from dfk.evaluation import tables

    console = Console(markup=False)
    titles, rows = tables.cells(comparison)
    heading = f"{comparison.source.name}, {comparison.source.split}"
    # Narrow columns, so that it fits into 80 characters.
    columns = [Column(t, justify="right", max_width=10) for t in titles[1:]]
    first = Column(titles[0], min_width=11)
    table = Table(first, *columns, title=heading, pad_edge=False)
    for row in rows:
        # Ranges and intervals go below their numbers, to save width.
        table.add_row(*(cell.replace(" (", "\n(", 1) for cell in row))
    console.print(table)
    for sentence in tables.sentences(comparison):
        console.print(sentence, soft_wrap=True)
    console.print(tables.notes(comparison), soft_wrap=True)


if __name__ == "__main__":
    cli.run(main)
