"""What `dfk.embed --classify` prints."""

from typing import Any

from rich.console import Console
from rich.table import Table

Rows = list[tuple[str, dict[str, Any]]]


def show(console: Console, record: dict[str, Any]) -> None:
    """Prints how the choice was made, and what it is worth on test.

    Args:
        console: where to.
        record: from `dfk.embedding.classify.classify`.
    """
    combination = record["combination"]
    rows = [(detector["name"], detector) for detector in record["detectors"]]
    if combination:
        rows.append(("combination", combination))
    console.print(_validation(rows, record["validation_images"]))
    console.print(_test(rows, record["test_images"]))
    if combination:
        console.print(_gains(record["detectors"], combination))
    console.print(
        f"Chosen on validation: {' + '.join(record['chosen'])}.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _validation(rows: Rows, images: int) -> Table:
    table = _table(
        f"validation, {images:,} pictures", "CV AUC", "log loss", "AUC"
    )
    for name, row in rows:
        table.add_row(
            name,
            _number(row.get("cv_auc")),
            _number(row["validation_loss"]),
            _number(row["validation_auc"]),
        )
    return table


def _test(rows: Rows, images: int) -> Table:
    table = _table(f"test, {images:,} pictures", "accuracy", "AUC")
    for name, row in rows:
        test = row["test"]
        table.add_row(
            name, _interval(test["accuracy"]), _interval(test["roc_auc"])
        )
    return table


def _gains(
    detectors: list[dict[str, Any]], combination: dict[str, Any]
) -> Table:
    table = _table(
        "what the combination adds, on test", "share", "accuracy", "AUC"
    )
    for row in detectors:
        if row["name"] in combination["parts"]:
            table.add_row(
                f"to {row['name']}",
                f"{combination['parts'][row['name']]:.0%}",
                _interval(row["test"]["gain_accuracy"], sign="+"),
                _interval(row["test"]["gain_roc_auc"], sign="+"),
            )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"


def _interval(entry: dict[str, float | None], sign: str = "") -> str:
    value, low, high = (
        _number(entry[name], sign) for name in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"
