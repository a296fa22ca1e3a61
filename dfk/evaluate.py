r"""Measures how good the detectors of runs are.

  python -m dfk.evaluate RUN... [--dataset=NAME | --data_dir=FOLDER]

A RUN is a folder that `python -m dfk.train` wrote; one of repeats stands for
all its seeds, each of which is measured by itself. Without a data set, the
test split of the one that the run was trained on is used. Prints accuracy,
balanced accuracy, ROC AUC, average precision, equal error rate and F1, each
with a 95 % interval, and what was called what. Writes into RUN:

  results.json    the numbers, with the data, command, versions and machine
  scores-*.csv    the score and the verdict of every image
  plots/          ROC, precision and recall, confusion, scores

With --robustness it scores the split again in about 40 harmed versions (JPEG,
WebP, resized, blurred, noisy, darker, brighter, pale, cropped, turned, as a
screenshot, passed through social networks), which takes about 40 times as
long, prints how much of the accuracy is left, and adds to RUN:

  robustness-*.csv    accuracy, AUC, calibration and verdicts a version
  plots/robustness-*  accuracy and AUC against how much was done

Examples:
  python -m dfk.evaluate runs/facenet
  python -m dfk.evaluate runs/facenet --robustness
  python -m dfk.evaluate runs/facenet --dataset=real_fake_faces/kaggle
  python -m dfk.evaluate runs/facenet --data_dir=other_faces
"""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.runs import finished

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

_DATASET = flags.DEFINE_string(
    "dataset", None, "A data set of TFDS, such as real_fake_faces/kaggle."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "A folder {train,valid,test}/{real,fake}/*."
)
_SPLIT = flags.DEFINE_enum(
    "split",
    "test",
    ["test", "validation", "train"],
    "Which images. Touch the test split once, after all choices were made.",
)
_ROBUSTNESS = flags.DEFINE_bool(
    "robustness",
    False,
    "Also measure what is left when the images are compressed, resized, noisy "
    "and so on. It scores the split about 40 times more: try it on a GPU, or "
    "on a smaller data set first.",
)

_TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "eer": "equal error rate",
    "f1": "F1",
    "brier": "Brier score",
}


def main(argv: Sequence[str]) -> None:
    """Evaluates the runs one after the other and prints their records."""
    if len(argv) < 2:
        raise UserError(
            "Name a run, as in `python -m dfk.evaluate runs/facenet`. "
            "Received: none."
        )
    # A wrong path is answered before TensorFlow takes seconds to import.
    runs = [run.path for run in finished(argv[1:])]
    from rich.console import Console

    cli.start_tensorflow()
    from dfk.evaluation.measure import evaluate

    console = Console()
    for path in runs:
        record = evaluate(path, _DATASET.value, _DATA_DIR.value, _SPLIT.value)
        _print_metrics(console, record)
        _print_counts(console, record)
        if _ROBUSTNESS.value:
            record["files"] += _measure_robustness(console, path)
        print(f"Written into {path}:", *record["files"], sep="\n  ")
    if len(runs) > 1:
        print("Next:", "python -m dfk.compare", shlex.join(argv[1:]))


def _print_metrics(console: "Console", record: dict[str, Any]) -> None:
    from rich.table import Table

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


def _print_counts(console: "Console", record: dict[str, Any]) -> None:
    from rich.table import Table

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
    _print_promises(console, record)


def _print_promises(console: "Console", record: dict[str, Any]) -> None:
    """Calibration, coverage and operating points."""
    from rich.table import Table

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
    from dfk.evaluation.conformal import needed

    if row["promised"] is None:
        return (
            f"No promise for {name}s: validation has fewer than the "
            f"{needed(error_rate)} that an error rate of {error_rate:.0%} "
            "needs."
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
        return [f"needs {point['needed']} validation reals", "-", "-"]
    return [
        f"{point['threshold']:.3f}",
        *(
            f"{_percent(point[name]['value'])} "
            f"({_percent(point[name]['low'])} to "
            f"{_percent(point[name]['high'])})"
            for name in ("false_alarms", "recall")
        ),
    ]


def _measure_robustness(console: "Console", path: "Path") -> list[str]:
    """Runs and prints the grid; gives the files that came with it."""
    from dfk.evaluation.robustness import robustness

    record = robustness(path, _DATASET.value, _DATA_DIR.value, _SPLIT.value)
    _print_robustness(console, record)
    return [name for name in record["files"] if name != "results.json"]


def _print_robustness(console: "Console", record: dict[str, Any]) -> None:
    from rich.table import Table

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
        return "No robustness score: it needs images of both classes."
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


if __name__ == "__main__":
    cli.run(main)
