"""The README's table: every detector, several seeds, one data set.

  python benchmarks/detectors.py --data_dir=FACES --seeds=3

Trains and evaluates with the package's own commands, skips what is there
already, and prints a Markdown table of test accuracy and ROC AUC as mean and
range over the seeds.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS

flags.DEFINE_string("data_dir", None, "Folder of pictures.", required=True)
flags.DEFINE_list(
    "models", ["facenet", "efficientnet_lite", "cnn"], "Detectors to train."
)
flags.DEFINE_integer("seeds", 3, "Runs of each detector.", lower_bound=1)
flags.DEFINE_string("runs", "runs/detectors", "Folder of the runs.")


def main(_):
    """Runs what is missing, then prints the table."""
    print("| detector | test accuracy | test ROC AUC | runs |")
    print("| --- | --- | --- | --- |")
    for model in FLAGS.models:
        results = [_run(model, seed) for seed in range(FLAGS.seeds)]
        accuracy = [100 * r["accuracy"] for r in results]
        auc = [r["roc_auc"] for r in results]
        print(
            f"| {model} | {_spread(accuracy, '.1f')} % | {_spread(auc, '.3f')} "
            f"| {len(results)} |",
            flush=True,
        )


def _run(model: str, seed: int) -> dict[str, float]:
    run = Path(FLAGS.runs, f"{model}-{seed}")
    if not (run / "results.json").is_file() or not _evaluated(run):
        _command(
            "dfk.train",
            f"--model={model}",
            f"--data_dir={FLAGS.data_dir}",
            f"--seed={seed}",
            f"--workdir={run}",
        )
        _command("dfk.evaluate", str(run))
    results = json.loads((run / "results.json").read_text())
    (record,) = results["evaluation"].values()
    return {name: m["value"] for name, m in record["metrics"].items()}


def _evaluated(run: Path) -> bool:
    return "evaluation" in json.loads((run / "results.json").read_text())


def _command(module: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", module, *arguments],
        check=True,
        stdout=sys.stderr,
    )


def _spread(values: list[float], form: str) -> str:
    low, high = min(values), max(values)
    return f"{np.mean(values):{form}} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    app.run(main)
