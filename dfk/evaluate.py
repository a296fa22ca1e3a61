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

Examples:
  python -m dfk.evaluate runs/facenet
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

_TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "eer": "equal error rate",
    "f1": "F1",
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
    low = record["calibration"]["real_below"]
    high = record["calibration"]["fake_above"]
    print(f"Uncertain is a probability of fake from {low:.3f} to {high:.3f}.")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


if __name__ == "__main__":
    cli.run(main)
