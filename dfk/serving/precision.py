"""What a graph that multiplies in bfloat16 loses."""

from typing import Any

import keras
import numpy as np

from dfk import data
from dfk.errors import UserError
from dfk.evaluation import metrics, records
from dfk.evaluation.measure import load_split, score_split
from dfk.models.bfloat16 import in_bfloat16
from dfk.runs import Run

FLOAT32, BFLOAT16 = "float32", "bfloat16"
# Of the ROC AUC.
_MOST_LOSS = 0.005


def compared(
    run: Run, detector: keras.Model
) -> tuple[keras.Model, dict[str, Any]]:
    """A run's detector in bfloat16, compared with float32 on validation.

    Args:
        run: a finished run.
        detector: its model.

    Returns:
        The detector in bfloat16, and what the comparison found: `images`, the
        ROC AUC as `float32` and `bfloat16`, and `difference`, the largest
        change of a probability of fake.

    Raises:
        UserError: the validation data cannot be had, or the ROC AUC falls by
            more than 0.005.

    Example:
        >>> faster, found = compared(Run("runs/clip"), detector)
        >>> found["float32"] - found["bfloat16"]
        0.0002
    """
    source = records.source_of(run, None, None, "validation")
    needs = f"bfloat16 is measured on the validation pictures of {run.path}"
    if source.place is None:
        raise UserError(
            f"{needs}, which does not say what they are: export it in "
            f"{FLOAT32}."
        )
    try:
        images = load_split(detector, source)
    except UserError as error:
        raise UserError(
            f"{needs}, which cannot be read: put them back, or export it in "
            f"{FLOAT32}. Received: {error}"
        ) from error
    faster = in_bfloat16(detector)
    with data.unreadable_files():
        full = score_split(detector, images)
        reduced = score_split(faster, images)
    before, after = (
        metrics.measure(scores.labels, scores.probabilities)["roc_auc"]
        for scores in (full, reduced)
    )
    if before is None:
        raise UserError(
            f"{needs}, which hold one class only: export it in {FLOAT32}."
        )
    if before - after > _MOST_LOSS:
        raise UserError(
            f"On the validation pictures of {run.path} the ROC AUC falls from "
            f"{before:.4f} to {after:.4f} in {BFLOAT16}, and at most "
            f"{_MOST_LOSS} may be lost: export it in {FLOAT32}."
        )
    change = np.abs(full.probabilities - reduced.probabilities)
    return faster, {
        "images": images.size,
        FLOAT32: before,
        BFLOAT16: after,
        "difference": float(change.max()),
    }
