r"""Combines the detectors of several runs into one.

  python -m dfk.ensemble RUN RUN... [--workdir=FOLDER]

A RUN is a finished one of dfk.train or of `dfk.embed --classify`; a folder of
repeats stands for all its seeds. All must have one image size, and have been
trained on the same data set. The ensemble is the weighted sum of their logits:
weights, calibration and limits are fitted on the validation split, and the test
split is left to dfk.evaluate. What is written is a run like the others, with
one graph that holds all members.

Prints the log loss and the AUC of each run and of the ensemble on validation
pictures that were held out when the weights were fitted. The lower the log loss
the better; a run whose share is near 0 may be left out.

Examples:
  python -m dfk.ensemble runs/facenet runs/efficientnet_lite
  python -m dfk.ensemble runs/classifier runs/facenet --workdir=runs/ensemble
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from dfk import cli
from dfk.errors import UserError
from dfk.runs import Run, finished

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run; by default runs/ensemble-<time>."
)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "A data set of TFDS, such as real_fake_faces/kaggle, or a folder, whose "
    "validation split is used; by default the one that the runs were trained "
    "on.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "A folder {train,valid,test}/{real,fake}/*, likewise."
)


def main(argv: Sequence[str]) -> None:
    """Combines the runs and prints how well that does on validation."""
    # A mistake is answered before TensorFlow takes seconds to import.
    runs = finished(argv[1:])
    if len(runs) < 2:
        raise UserError(
            "An ensemble needs two runs at least, as in `python -m "
            "dfk.ensemble runs/facenet runs/cnn`. Received: "
            f"{', '.join(argv[1:]) or 'none'}."
        )
    source = _source(runs)
    cli.start_tensorflow()
    from dfk.training.ensemble import fit_ensemble

    run, record = fit_ensemble(runs, **source, workdir=_WORKDIR.value)
    _print(record)
    best = min(record["members"], key=lambda row: row["log_loss"])
    if best["log_loss"] <= record["ensemble"]["log_loss"]:
        print(f"On validation, {best['run']} by itself is no worse.")
    print(f"Run: {run.path}, made in {record['seconds']:.0f} s")
    print(f"Next: python -m dfk.evaluate {run.path}")


def _source(runs: Sequence[Run]) -> dict[str, Any]:
    """Which data are meant: those of the flags, or else the runs' own."""
    if _DATASET.value or _DATA_DIR.value:
        return {"dataset": _DATASET.value, "data_dir": _DATA_DIR.value}
    sources = {}
    for run in runs:
        name = run.config["data_dir"] or run.config["dataset"]
        sources.setdefault(name, run.path)
    if len(sources) > 1:
        named = ", ".join(f"{path}: {name}" for name, path in sources.items())
        raise UserError(
            "The runs were trained on different data: say with --dataset or "
            "--data_dir whose validation pictures decide, which must be new to "
            f"all of them. Received: {named}."
        )
    limits = {run.config.get("limit") for run in runs}
    if len(limits) > 1:
        raise UserError(
            "The runs were trained with different --limit: say with --dataset "
            "or --data_dir whose validation pictures decide. Received: "
            f"{', '.join(map(str, sorted(limits, key=str)))}."
        )
    config = runs[0].config
    return {name: config.get(name) for name in ("dataset", "data_dir", "limit")}


def _print(record: dict[str, Any]) -> None:
    members = [
        (row["run"], *_figures(row), f"{row['share']:.0%}")
        for row in record["members"]
    ]
    cli.print_table(
        f"validation, {record['validation_images']:,} pictures",
        ("", "log loss", "AUC", "share"),
        [*members, (), ("ensemble", *_figures(record["ensemble"]), "")],
    )


def _figures(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['log_loss']:.3f}", f"{row['roc_auc']:.3f}"


if __name__ == "__main__":
    cli.run(main)
