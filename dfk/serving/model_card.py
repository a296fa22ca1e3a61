"""The model card of an exported version, rendered from what was measured."""

from pathlib import Path

import keras
import numpy as np

from dfk import models, pages
from dfk.files import write_text
from dfk.models.conformal import required_images
from dfk.runs import Run, provenance


def write_card(path: Path, run: Run, detector: keras.Model, name: str) -> None:
    """Writes a model card in the format of the Hugging Face Hub.

    No figure in it is typed by hand: all come from the run's `results.json`,
    its configuration and the detector's own calibration.

    Args:
        path: of the card.
        run: what is exported.
        detector: its model.
        name: the model's name for callers.

    Reference:
        Mitchell et al., "Model Cards for Model Reporting", FAT* 2019;
        https://huggingface.co/docs/hub/model-cards

    Example:
        >>> write_card(Path("MODEL_CARD.md"), run, detector, "facenet")
    """
    config, results = run.config, run.results
    calibration = models.score_layer(detector).calibration
    card = pages.render(
        "model_card.md",
        name=name,
        run=str(run.path),
        config=config,
        training=results.get("training", {}),
        training_data=config.get("data_dir") or config.get("dataset"),
        evaluations=results.get("evaluation", {}),
        cross=results.get("cross"),
        versions=provenance()["versions"],
        calibration=calibration,
        required=required_images(calibration.error_rate),
        image_size=detector.input_shape[1],
        ood_limit=np.isfinite(models.ood_layer(detector).limit),
    )
    write_text(path, card)
