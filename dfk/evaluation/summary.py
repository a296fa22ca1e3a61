"""What an evaluation found, as tables and sentences for a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from dfk.data import names
from dfk.evaluation.cross import Cell, Row
from dfk.models.conformal import required_images

_TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "eer": "equal error rate",
    "f1": "F1",
    "brier": "Brier score",
}


# As wide as the longest line of a cross table's cell.
_CELL_WIDTH = len("accuracy 99.9% !")


def show(console: Console, record: dict[str, Any]) -> None:
    """Prints what `dfk.evaluation.measure.evaluate` returned.

    Args:
        console: where to.
        record: the evaluation's.
    """
    _print_metrics(console, record)
    _print_counts(console, record)
    _print_promises(console, record)


def _print_metrics(console: Console, record: dict[str, Any]) -> None:
    print(
        f"{record['dataset'] or record['data_dir']}, {record['split']} split: "
        f"{record['images']} images in {record['groups']} groups"
    )
    table = Table(title=f"fake above a probability of {record['threshold']}")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, title in _TITLES.items():
        metric = record["metrics"][name]
        interval = f"{_number(metric['low'])} to {_number(metric['high'])}"
        table.add_row(title, _number(metric["value"]), interval)
    console.print(table)


def _print_counts(console: Console, record: dict[str, Any]) -> None:
    table = Table(title=f"calls at {record['threshold']}, and verdicts")
    table.add_column("")
    for name in ("called real", "called fake", "uncertain", "wrong verdict"):
        table.add_column(name, justify="right")
    for true, called in record["confusion"].items():
        verdicts = record["verdicts"][true]
        table.add_row(
            true,
            str(called["real"]),
            str(called["fake"]),
            _percent(verdicts["uncertain"]),
            _percent(verdicts["wrong"]),
        )
    console.print(table)


def _print_promises(console: Console, record: dict[str, Any]) -> None:
    """Calibration, coverage and operating points."""
    calibration = record["calibration"]
    low, high = sorted([calibration["real_up_to"], calibration["fake_down_to"]])
    print(
        f"Uncertain is a probability of fake from {low:.3f} to {high:.3f}, or "
        "a picture unlike the training pictures "
        f"({_percent(record['unfamiliar'])})."
    )
    for name, row in record["coverage"].items():
        print(_coverage_sentence(name, row, calibration["error_rate"]))
    error = record["reliability"]["error"]
    chance = record["reliability"]["error_by_chance"]
    print(
        f"Calibration error {error:.3f}; perfect calibration would show "
        f"{chance['mean']:.3f} by chance, seldom above {chance['high']:.3f}."
    )
    table = Table(title="where few false alarms can be afforded")
    for title in ("at most", "fake above", "false alarms", "fakes caught"):
        table.add_column(title, justify="right")
    for point in record["operating_points"]:
        table.add_row(f"{point['rate']:.0%}", *_operating_cells(point))
    console.print(table)


def _coverage_sentence(
    name: str, row: dict[str, Any], error_rate: float
) -> str:
    if row["promised"] is None:
        return (
            f"No promise for {name}s: validation has fewer than the "
            f"{required_images(error_rate)} that an error rate of "
            f"{error_rate:.0%} needs."
        )
    if not row["images"]:
        return f"No {name}s here to try the promise on."
    inside = row["low"] <= row["covered"] <= row["high"]
    return (
        f"{row['covered']:.1%} of the {name}s are covered; "
        f"{row['promised']:.0%} were promised, which allows {row['low']:.1%} "
        f"to {row['high']:.1%} here: {'kept' if inside else 'NOT KEPT'}."
    )


def _operating_cells(point: dict[str, Any]) -> list[str]:
    if point["threshold"] is None:
        return [f"needs {point['required']} validation reals", "-", "-"]
    return [
        f"{point['threshold']:.3f}",
        *(
            f"{_percent(point[name]['value'])} "
            f"({_percent(point[name]['low'])} to "
            f"{_percent(point[name]['high'])})"
            for name in ("false_alarms", "recall")
        ),
    ]


def show_robustness(console: Console, record: dict[str, Any]) -> None:
    """Prints a robustness grid.

    Args:
        console: where to.
        record: what `dfk.evaluation.robustness.robustness` returned.
    """
    clean = record["clean"]
    # Levels stand beside each number: those of two corruptions rarely agree.
    table = Table(
        title=f"level: accuracy, which is {clean['accuracy']:.0%} when clean",
        box=None,
        padding=(0, 1, 0, 0),
    )
    table.add_column("")
    corruptions = record["corruptions"]
    for _ in range(max(len(c["cells"]) for c in corruptions.values())):
        table.add_column(justify="right")
    table.add_column("area", justify="right")
    for name, corruption in corruptions.items():
        cells = [
            f"{cell['level']:g}: {cell['accuracy']:.0%}"
            for cell in corruption["cells"]
        ]
        cells += [""] * (len(table.columns) - 2 - len(cells))
        table.add_row(name, *cells, _number(corruption["area"]["accuracy"]))
    console.print(table)
    print(_score_sentence(record))
    print(_worst_sentence(record["worst"]))


def _score_sentence(record: dict[str, Any]) -> str:
    if record["score"] is None:
        return (
            "No robustness score: it needs images of both classes, and all "
            "corruptions."
        )
    return (
        f"Robustness score {record['score']:.3f}: the balanced accuracy at "
        "0.5, averaged over the levels and then over the corruptions (0.5 is "
        "guessing, 1 is always right; "
        f"{record['clean']['balanced_accuracy']:.3f} when clean)."
    )


def _worst_sentence(cell: dict[str, Any]) -> str:
    return (
        f"Worst is {cell['corruption']} at {cell['level']:g} ({cell['unit']}): "
        f"accuracy {cell['accuracy']:.3f}, ROC AUC {_number(cell['roc_auc'])}, "
        f"{_percent(cell['uncertain'])} uncertain and "
        f"{_percent(cell['wrong'])} wrong verdicts."
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
    table = Table(title="trained on (rows), tested on (columns)")
    table.add_column("")
    for cell in rows[0].cells:
        name = names.short(cell.dataset)
        table.add_column(f"{name} ({cell.images:,})", min_width=_CELL_WIDTH)
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
    if cell.roc_auc is None:
        shares = {"alarms": cell.false_alarms, "recall": cell.recall}
        lines = [
            f"{n} {_percent(s)}" for n, s in shares.items() if s is not None
        ]
    else:
        mark = "" if cell.transfers else " !"
        lines = [
            f"AUC {cell.roc_auc:.3f}",
            f"accuracy {_percent(cell.accuracy)}{mark}",
        ]
    return "\n".join([*lines, f"uncertain {_percent(cell.uncertain)}"])
