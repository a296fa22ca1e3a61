"""A comparison as text: the cells of its table, sentences, Markdown."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfk.errors import UserError
from dfk.evaluation.comparison import (
    RESAMPLES,
    Comparison,
    Difference,
)
from dfk.evaluation.rows import Row
from dfk.files import write_text

BEGIN, END = "<!-- dfk.compare:begin -->", "<!-- dfk.compare:end -->"


def cells(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Puts a comparison into a table.

    Args:
        comparison: what `dfk.evaluation.comparison.compare` returned.

    Returns:
        The titles of the columns, and the cells of each row, the best first.
        Several seeds give a mean and, in brackets, a range.

    Example:
        >>> cells(comparison)[1][0][:2]
        ['facenet', '89.3% (88.7% to 89.7%)']
    """
    split = comparison.source.split
    titles = [
        "detector",
        f"{split} accuracy",
        f"{split} ROC AUC",
        "against the best",
        "training pictures",
        "seconds",
        "runs",
    ]
    against = ["best", *map(_difference, comparison.differences)]
    rows = [
        [
            row.label,
            _spread(row.values("accuracy"), ".1%"),
            _spread(row.values("roc_auc"), ".3f"),
            difference,
            _training(row, "images", ",.0f"),
            _training(row, "seconds", ",.0f"),
            str(len(row.runs)),
        ]
        for row, difference in zip(comparison.rows, against, strict=True)
    ]
    return titles, rows


def sentences(comparison: Comparison) -> list[str]:
    """Says of each row but the best whether it is significantly worse.

    Args:
        comparison: what `dfk.evaluation.comparison.compare` returned.

    Returns:
        A sentence a row, without a full stop.

    Example:
        >>> sentences(comparison)
        ['cnn is worse than facenet: AUC -0.131 (-0.170 to -0.090), p < 0.001']
    """
    best = comparison.rows[0]
    return [
        _sentence(difference, best, comparison.images)
        for difference in comparison.differences
    ]


def notes(comparison: Comparison) -> str:
    """Says what the numbers are: which images, which tests, which machine."""
    return " ".join(
        _notes_on_images(comparison)
        + _notes_on_differences(comparison)
        + _notes_on_time(comparison)
    )


def _notes_on_images(comparison: Comparison) -> list[str]:
    source = comparison.source
    grouped = comparison.groups < comparison.images
    groups = f" in {comparison.groups:,} groups" if grouped else ""
    notes = [
        f"{comparison.images:,} pictures{groups} of {source.name}, "
        f"{source.split} split."
    ]
    if any(len(row.runs) > 1 for row in comparison.rows):
        notes.append("Mean (range) over the seeds of several runs.")
    return notes


def _notes_on_differences(comparison: Comparison) -> list[str]:
    if not comparison.differences:
        return []
    single = [row.label for row in comparison.rows if len(row.runs) == 1]
    repeated = len(single) < len(comparison.rows)
    seeds = ", and the variation over seeds" if repeated else ""
    units = "groups" if comparison.groups < comparison.images else "pictures"
    pairs = math.comb(len(comparison.rows), 2)
    notes = [
        "Differences of ROC AUC with 95 % intervals by Student's t: paired "
        f"bootstrap over {units} ({RESAMPLES:,} resamples){seeds}."
    ]
    if pairs > 1:
        notes.append(
            "An interval is of its pair alone; whether a difference is "
            "significant (p below 0.05) is decided by the p of its AUC, which "
            f"Holm's method corrects for all {pairs} pairs of rows."
        )
    if single:
        notes.append(
            "The variation over seeds is unknown, and in no interval, for "
            f"what was trained once: {', '.join(single)}."
        )
    return notes


def _notes_on_time(comparison: Comparison) -> list[str]:
    runs = [run for row in comparison.rows for run in row.runs]
    # In order, each once.
    machines = dict.fromkeys(
        run.training["machine"] for run in runs if "machine" in run.training
    )
    return [f"Seconds of training on: {'; '.join(machines)}."] * bool(machines)


def markdown(comparison: Comparison, command: str) -> str:
    """Writes a comparison as Markdown.

    Args:
        comparison: what `dfk.evaluation.comparison.compare` returned.
        command: what wrote it, for a comment.

    Returns:
        The table, its sentences and notes, between the markers of `update`.
    """
    titles, rows = cells(comparison)
    for row, texts in zip(comparison.rows, rows, strict=True):
        texts[0] = texts[0].replace(row.detector, f"`{row.detector}`", 1)
    table = [titles, ["---"] * len(titles), *rows]
    lines = [
        BEGIN,
        f"<!-- {command} -->",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
        *(f"- {sentence}." for sentence in sentences(comparison)),
        *([""] if comparison.differences else []),
        notes(comparison),
        END,
    ]
    return "\n".join(lines)


def find_markers(path: str | Path) -> tuple[str, str]:
    """Reads a file that holds a place for a table.

    Args:
        path: of the file.

    Returns:
        What comes before the first marker, and after the second.

    Raises:
        UserError: no such file, or not one pair of markers in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): pass a Markdown file."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not in UTF-8 ({error.reason}): save it so first."
        ) from error
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UserError(
            f"{path} must hold {BEGIN} and {END} once each: put them where "
            "the table is to be."
        )
    before, rest = text.split(BEGIN)
    if END not in rest:
        raise UserError(f"{path} has {END} before {BEGIN}: swap the two.")
    return before, rest.split(END)[1]


def update(path: str | Path, table: str) -> None:
    """Puts a table in the place that a file holds for it.

    Args:
        path: of a Markdown file with the two markers.
        table: what `markdown` returned.

    Raises:
        UserError: no such file, or not one pair of markers in it.

    Example:
        >>> update("README.md", markdown(comparison, command))
    """
    before, after = find_markers(path)
    write_text(Path(path), before + table + after)


def _sentence(difference: Difference, best: Row, images: int) -> str:
    row, auc, test = difference.row, difference.auc, difference.mcnemar
    if difference.is_significant:
        sentence = f"{row.label} is worse than {best.label}"
    else:
        sentence = (
            f"{row.label} and {best.label} show no significant difference on "
            f"{images:,} pictures"
        )
    sentence += f": AUC {_difference(difference)}, {_p(auc.p)}"
    if test:
        sentence += (
            f"; only the first is right on {test.only_first:,} pictures, "
            f"only the second on {test.only_second:,}, {_p(test.p)} (McNemar)"
        )
    return sentence


def _difference(difference: Difference) -> str:
    auc = difference.auc
    return f"{auc.value:+.3f} ({auc.low:+.3f} to {auc.high:+.3f})"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _training(row: Row, name: str, form: str) -> str:
    """The mean of what the runs recorded; `-` where one did not."""
    values = [run.training.get(name) for run in row.runs]
    return "-" if None in values else f"{np.mean(values):{form}}"


def _spread(values: Sequence[float], form: str) -> str:
    mean = f"{np.mean(values):{form}}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):{form}} to {max(values):{form}})"
