"""What an evaluation found, as tables and sentences for a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from dfk.data import names
from dfk.evaluation import by_source
from dfk.evaluation.cross import Cell, Row
from dfk.evaluation.metrics import TITLES

# As wide as the longest line of a cross table's cell.
_CELL_WIDTH = len("accuracy 99.9% !")


def show(console: Console, record: dict[str, Any]) -> None:
    """Prints what `dfk.evaluation.measure.evaluate` returned.

    Args:
        console: where to.
        record: the evaluation's.
    """
    print(
        f"{record['dataset'] or record['data_dir']}, {record['split']} split: "
        f"{record['images']} pictures in {record['groups']} groups"
    )
    table = _table(
        f"fake above a probability of {record['threshold']}",
        *("metric", "value", "95 % interval"),
    )
    for name, title in TITLES.items():
        metric = record["metrics"][name]
        interval = f"{_number(metric['low'])} to {_number(metric['high'])}"
        table.add_row(title, _number(metric["value"]), interval)
    console.print(table)
    table = _table(
        f"labels at {record['threshold']}, and verdicts",
        *("", "called real", "called fake", "uncertain", "wrong verdict"),
    )
    for true, called in record["confusion"].items():
        verdicts = record["verdicts"][true]
        shares = _percent(verdicts["uncertain"]), _percent(verdicts["wrong"])
        table.add_row(true, str(called["real"]), str(called["fake"]), *shares)
    console.print(table)
    if record["sources"]:
        show_by_source(console, "each data set by itself", record["sources"])
    _show_guarantees(console, record)


def show_by_source(
    console: Console, title: str, rows: Sequence[dict[str, Any]]
) -> None:
    """Prints what `dfk.evaluation.by_source.by_source` returned.

    Args:
        console: where to.
        title: of the table.
        rows: of several data sets, as in the record.
    """
    table = _table(title, "", "pictures", *by_source.TITLES.values())
    for row in rows:
        cells = [
            _number(metric["value"])
            if name == "roc_auc"
            else _percent(metric["value"])
            for name, metric in row["values"].items()
        ]
        limits = [
            f"{_number(metric['low'])} to {_number(metric['high'])}"
            for metric in row["values"].values()
        ]
        both = [f"{c}\n{i}" for c, i in zip(cells, limits, strict=True)]
        table.add_row(row["name"], f"{row['images']:,}", *both)
    console.print(table)


def _table(title: str, first: str | Column, *others: str, **style) -> Table:
    """A table whose columns, but the first, are numbers."""
    numbers = [Column(name, justify="right") for name in others]
    return Table(first, *numbers, title=title, **style)


def _show_guarantees(console: Console, record: dict[str, Any]) -> None:
    """Calibration, error-rate guarantees and operating points."""
    calibration = record["calibration"]
    low, high = sorted([calibration["real_up_to"], calibration["fake_down_to"]])
    print(
        f"Uncertain is a probability of fake from {low:.3f} to {high:.3f}, or "
        "a picture unlike the training pictures "
        f"({_percent(record['out_of_distribution'])})."
    )
    for name, row in record["coverage"].items():
        print(_coverage_sentence(name, row, calibration["error_rate"]))
    error = record["reliability"]["error"]
    chance = record["reliability"]["error_by_chance"]
    print(
        f"Calibration error {error:.3f}; perfect calibration would show "
        f"{chance['mean']:.3f} by chance, seldom above {chance['high']:.3f}."
    )
    table = _table(
        "thresholds for few false alarms",
        Column("at most", justify="right"),
        *("fake above", "false alarms", "fakes caught"),
    )
    for point in record["operating_points"]:
        cells = [f"requires {point['required']} validation reals", "-", "-"]
        if point["threshold"] is not None:
            cells = [
                f"{point['threshold']:.3f}",
                _with_interval(point["false_alarms"]),
                _with_interval(point["recall"]),
            ]
        table.add_row(f"{point['rate']:.1%}", *cells)
    console.print(table)


def _with_interval(share: dict[str, float | None]) -> str:
    value, low, high = map(_percent, share.values())
    return f"{value} ({low} to {high})"


def _coverage_sentence(
    name: str, row: dict[str, Any], error_rate: float
) -> str:
    if row["guaranteed"] is None:
        return (
            f"No error-rate guarantee for {name}s: validation has fewer than "
            f"the {row['required']} that an error rate of {error_rate:.0%} "
            "requires."
        )
    if not row["images"]:
        return f"No {name}s here to test the error-rate guarantee on."
    # To cover more than that breaks no promise: the limit of one of several
    # data sets may be stricter.
    holds = row["covered"] >= row["low"]
    return (
        f"Error-rate guarantee for {name}s: {row['covered']:.1%} covered, "
        f"{row['guaranteed']:.0%} guaranteed, and at least {row['low']:.1%} "
        "expected of so many pictures: "
        f"{'holds' if holds else 'DOES NOT HOLD'}."
    )


def show_robustness(console: Console, record: dict[str, Any]) -> None:
    """Prints a robustness grid.

    Args:
        console: where to.
        record: what `dfk.evaluation.robustness.robustness` returned.
    """
    accuracy = record["clean"]["accuracy"]
    corruptions = record["corruptions"]
    # Levels stand beside each number: those of two corruptions rarely agree.
    most = max(len(c["cells"]) for c in corruptions.values())
    table = _table(
        f"level: accuracy, which is {accuracy:.0%} when clean",
        *("", *[""] * most, "area"),
        box=None,
        padding=(0, 1, 0, 0),
    )
    for name, corruption in corruptions.items():
        cells = [
            f"{cell['level']:g}: {cell['accuracy']:.0%}"
            for cell in corruption["cells"]
        ]
        cells += [""] * (most - len(cells))
        table.add_row(name, *cells, _number(corruption["area"]["accuracy"]))
    console.print(table)
    if record["score"] is None:
        print(
            "No robustness score: it requires images of both classes, and all "
            "corruptions."
        )
    else:
        print(
            f"Robustness score {record['score']:.3f}: the balanced accuracy at "
            "0.5, averaged over the levels and then over the corruptions (0.5 "
            "is guessing, 1 is always right; "
            f"{record['clean']['balanced_accuracy']:.3f} when clean)."
        )
    worst = record["worst"]
    print(
        f"Worst is {worst['corruption']} at {worst['level']:g} "
        f"({worst['unit']}): accuracy {worst['accuracy']:.3f}, ROC AUC "
        f"{_number(worst['roc_auc'])}, {_percent(worst['uncertain'])} "
        f"uncertain and {_percent(worst['wrong'])} wrong verdicts."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def show_cross(console: Console, rows: Sequence[Row]) -> None:
    """Prints a cross table.

    Args:
        console: where to.
        rows: what `dfk.evaluation.cross.cross_table` returned.
    """
    columns = [
        Column(
            f"{names.short(cell.dataset)} ({cell.images:,})",
            min_width=_CELL_WIDTH,
        )
        for cell in rows[0].cells
    ]
    title = "trained on (rows), tested on (columns)"
    table = Table("", *columns, title=title)
    for row in rows:
        table.add_row(
            f"{row.model}, {names.short(row.trained_on)}\n{row.run}",
            *map(_cross_cell, row.cells),
        )
    console.print(table)
    if any(cell.transfers is False for row in rows for cell in row.cells):
        print(
            "!  Another threshold would be right more often there: the shipped "
            "one does not transfer."
        )


def _cross_cell(cell: Cell) -> str:
    lines = []
    if cell.roc_auc is not None:
        mark = "" if cell.transfers else " !"
        lines.append(f"AUC {cell.roc_auc:.3f}")
        lines.append(f"accuracy {_percent(cell.accuracy)}{mark}")
    elif cell.recall is None:
        lines.append(f"alarms {_percent(cell.false_alarms)}")
    else:
        lines.append(f"recall {_percent(cell.recall)}")
    return "\n".join([*lines, f"uncertain {_percent(cell.uncertain)}"])
