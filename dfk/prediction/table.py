"""Printing records, for `dfk.query` and `dfk.predict` alike."""

import sys
from collections.abc import Iterator, Sequence

from dfk.errors import UserError
from dfk.prediction.predictions import Record, Scorer, ask

_STYLES = {"real": "green", "fake": "red", "uncertain": "yellow"}


def print_answers(
    scorer: Scorer, images: Sequence[str], faces: bool, as_json: bool
) -> list[Record]:
    """Asks about images and prints the answers.

    Args:
        scorer: the detector.
        images: paths of images.
        faces: whether to ask about each face of an image.
        as_json: one JSON object a line instead of a table.

    Returns:
        The records.

    Raises:
        UserError: no image was named, or the detector cannot be asked.
    """
    if not images:
        raise UserError(
            "No picture was named: pass the path of one or more image files."
        )
    records = ask(scorer, images, faces)
    return _print_json(records) if as_json else _print_table(records)


def exit_status(records: Sequence[Record]) -> int:
    """1 if some record is an error, else 0."""
    return int(any(record.error is not None for record in records))


def _print_json(records: Iterator[Record]) -> list[Record]:
    answered = []
    for record in records:
        print(record.to_json(), flush=True)
        answered.append(record)
    return answered


def _print_table(records: Iterator[Record]) -> list[Record]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    answered = list(records)
    last = answered[-1]
    version = "" if last.version is None else f", version {last.version}"
    table = Table(title=f"{last.model}{version}", title_justify="left")
    table.add_column("picture", overflow="fold")
    with_faces = any(record.face for record in answered)
    if with_faces:
        table.add_column("face (x, y, w, h)")
    table.add_column("P(fake)", justify="right")
    table.add_column("verdict")
    for record in answered:
        # As text, since rich would read [brackets] in a path as markup.
        cells = [Text(record.image)]
        if with_faces:
            box = record.face["box"] if record.face else []
            cells.append(Text(", ".join(map(str, box))))
        cells += _answer_cells(record, Text)
        table.add_row(*cells)
    # A file or a pipe gets as much room as the paths need.
    width = None if sys.stdout.isatty() else 160
    Console(width=width).print(table)
    return answered


def _answer_cells(record: Record, text: type) -> list:
    if record.error is not None:
        return [text("-"), text(record.error, style="magenta")]
    reason = f": {record.reason}" if record.reason else ""
    style = _STYLES.get(record.verdict, "")
    return [
        text(f"{record.fake_probability:.3f}"),
        text(record.verdict + reason, style=style),
    ]
