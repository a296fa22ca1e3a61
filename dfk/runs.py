"""A run is a folder: what is in it, and under which names."""

import json
import os
from pathlib import Path
from typing import Any

from dfk.errors import UserError


class Run:
    """The folder of one training run.

    It holds `config.json` (written before the first step), `checkpoints/`,
    `logs/` (TensorBoard), `model.keras` and `results.json`.

    Args:
        path: the folder; it need not exist yet.

    Example:
        >>> Run("runs/facenet").config["model"]
        'facenet'
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.checkpoints = self.path / "checkpoints"
        self.logs = self.path / "logs"
        self.model_path = self.path / "model.keras"
        self.results_path = self.path / "results.json"

    @classmethod
    def finished(cls, path: str | Path) -> "Run":
        """Opens the folder of a run that ended with a trained detector.

        Raises:
            UserError: there is none at that path.
        """
        run = cls(path)
        if not run.config_path.is_file():
            raise UserError(
                f"No run at {run.path}: pass the folder that `python -m "
                "dfk.train` named when it ended."
            )
        if not run.model_path.is_file():
            raise UserError(
                f"The run at {run.path} has not finished: repeat its `python "
                "-m dfk.train` command to continue it."
            )
        return run

    @property
    def config(self) -> dict[str, Any]:
        """What the run was started with."""
        return json.loads(self.config_path.read_text())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file beside its place, then renames it into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(partial, path)
