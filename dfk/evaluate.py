r"""Measures how good the detectors of runs are.

  python -m dfk.evaluate RUN... [--dataset=NAME,... | --data_dir=FOLDER]

A RUN is a folder that `python -m dfk.train` wrote; one of repeats stands for
all its seeds, each of which is measured by itself. `default` is the built-in
detector, as a run of its own in runs/. Without a data set, the test split of
the one that the run was trained on is used. Prints accuracy, balanced accuracy,
ROC AUC, average precision, equal error rate, F1 and Brier score, each with a
95 % interval; the confusion counts and the verdicts; whether the error-rate
guarantee held; and how many fakes are found at few false alarms.
Writes into RUN:

  results.json    the numbers, with the data, command, versions and machine
  scores-*.csv    the score and the verdict of every image
  plots/          ROC, precision and recall, reliability, confusion, scores
  report.html     all of it on one page, with the worst mistakes

With --robustness it scores the split again in 42 corrupted versions (JPEG,
WebP, resized, blurred, noisy, darker, brighter, with less contrast, cropped,
rotated, as a screenshot, passed through social networks), which takes 42 times
as long, prints how much of the accuracy is left, and adds to RUN:

  robustness-*.csv    accuracy, AUC, calibration and verdicts of each version
  plots/robustness-*  accuracy and AUC against the level of each corruption

With --leave_one_out it says how well the detector tells fakes of kinds that it
was not shown: of a run on several data sets with a frozen backbone, such as
clip's, the head is fitted again without each of them, which takes minutes.

Examples:
  python -m dfk.evaluate runs/facenet
  python -m dfk.evaluate runs/clip --leave_one_out
  python -m dfk.evaluate runs/facenet --robustness
  python -m dfk.evaluate runs/facenet --dataset=real_fake_faces/kaggle
  python -m dfk.evaluate runs/facenet --data_dir=other_faces
  python -m dfk.evaluate runs/a runs/b --dataset=faces,other_faces,only_fakes
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.images.corruptions import CORRUPTIONS, Corruption
from dfk.runs import BUILT_IN, finished

if TYPE_CHECKING:
    from rich.console import Console

_DATASET = flags.DEFINE_list(
    "dataset",
    None,
    "A data set of TFDS, such as real_fake_faces/kaggle, or a folder. Several, "
    "separated by commas, make a cross table.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "A folder {train,valid,test}/{real,fake}/*; or {real,fake}/* without "
    "splits, of which one may be missing. Several, separated by commas, are "
    "scored as one.",
)
_SPLIT = flags.DEFINE_enum(
    "split",
    None,
    ["test", "validation", "train"],
    "Which images: test, and with --leave_one_out validation, unless this is "
    "given. Touch the test split once, after all choices were made.",
)
_LEAVE_ONE_OUT = flags.DEFINE_bool(
    "leave_one_out",
    False,
    "Of a run on several families of fakes with a frozen backbone: fit its "
    "head again without each family, and measure it on that one.",
)
_ROBUSTNESS = flags.DEFINE_bool(
    "robustness",
    False,
    "Also measure what is left when the images are compressed, resized, noisy "
    "and so on. It scores the split 42 times more: try it on a GPU, or "
    "on a smaller data set first.",
)
_CORRUPTIONS = flags.DEFINE_list(
    "corruptions",
    [],
    "With --robustness: only these, such as jpeg,webp,social. The score "
    "requires all.",
)


def main(argv: Sequence[str]) -> None:
    """Evaluates the runs one after the other and prints their records."""
    if len(argv) < 2:
        raise UserError(
            "Name a run, as in `python -m dfk.evaluate runs/facenet`. "
            "Received: none."
        )
    # Mistakes are reported before TensorFlow takes seconds to import.
    grid = _grid(_CORRUPTIONS.value)
    named = argv[1:]
    if BUILT_IN in named:
        finished(name for name in named if name != BUILT_IN)
        cli.start_tensorflow()
        from dfk.models import built_in

        built_in.as_run(BUILT_IN)
    runs = [run.path for run in finished(named)]
    from rich.console import Console

    cli.start_tensorflow()
    console = Console(markup=False)
    if _LEAVE_ONE_OUT.value:
        _leave_one_out(console, runs)
        return
    if _DATASET.value and len(_DATASET.value) > 1:
        _cross(console, runs)
        return
    dataset = _DATASET.value[0] if _DATASET.value else None
    for path in runs:
        _evaluate(console, path, dataset, grid)
    if len(runs) > 1:
        which = (("dataset", dataset), ("data_dir", _DATA_DIR.value))
        given = [f"--{name}={value}" for name, value in which if value]
        given.append(f"--split={_split()}")
        compare = ["python", "-m", "dfk.compare", *named, *given]
        print("Next:", shlex.join(compare))


def _grid(names: Sequence[str]) -> dict[str, Corruption]:
    """The corruptions of these names in the usual order; all for none."""
    if names and not _ROBUSTNESS.value:
        raise UserError("--corruptions is for --robustness: add it.")
    for name in names:
        if name not in CORRUPTIONS:
            raise UserError(
                f"--corruptions names {name!r}, which does not exist: pass "
                f"some of {', '.join(CORRUPTIONS)}."
            )
    chosen = names or CORRUPTIONS
    return {c: CORRUPTIONS[c] for c in CORRUPTIONS if c in chosen}


def _evaluate(
    console: "Console",
    path: Path,
    dataset: str | None,
    grid: dict[str, Corruption],
) -> None:
    from dfk.evaluation import summary
    from dfk.evaluation.measure import evaluate
    from dfk.evaluation.report import write_report
    from dfk.evaluation.robustness import robustness

    where = (dataset, _DATA_DIR.value, _split())
    record = evaluate(path, *where)
    summary.show(console, record)
    files = record["files"]
    if _ROBUSTNESS.value:
        corrupted = robustness(path, *where, grid=grid)
        summary.show_robustness(console, corrupted)
        files += corrupted["files"][1:]
    files.append(write_report(path, *where).name)
    print(f"Written into {path}:", *files, sep="\n  ")


def _cross(console: "Console", runs: Sequence[Path]) -> None:
    from dfk.evaluation.cross import cross_table
    from dfk.evaluation.summary import show_cross

    if _ROBUSTNESS.value or _DATA_DIR.value:
        raise UserError(
            "A cross table takes neither --robustness nor --data_dir: name all "
            "data sets and folders in --dataset. Received: "
            f"--dataset={','.join(_DATASET.value)}."
        )
    show_cross(console, cross_table(runs, _DATASET.value, _split()))


def _split() -> str:
    usual = "validation" if _LEAVE_ONE_OUT.value else "test"
    return _SPLIT.value or usual


def _leave_one_out(console: "Console", runs: Sequence[Path]) -> None:
    from dfk.evaluation.leave_one_out import LEFT_OUT, leave_one_out
    from dfk.evaluation.summary import show_by_source

    if _ROBUSTNESS.value or _DATA_DIR.value or _DATASET.value:
        raise UserError(
            "--leave_one_out uses the data that the run was trained on: pass "
            "it without --dataset, --data_dir and --robustness."
        )
    for path in runs:
        record = leave_one_out(path, _split())
        for what, title in LEFT_OUT.items():
            show_by_source(
                console, f"{title}, {record['split']} split", record[what]
            )
        print(f"Written into {path}/results.json, as `leave_one_out`.")


if __name__ == "__main__":
    cli.run(main)
