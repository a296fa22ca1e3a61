"""Everything that decides what a training run gives."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from dfk import data, models
from dfk.data import names
from dfk.errors import UserError
from dfk.training import stages

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run gives; `None` is the recipe's value.

    Args:
        model: a detector's name.
        weights: `default`, a name, `none` or a file.
        dataset: a TFDS name, or a folder, which then counts as `data_dir`.
        data_dir: a folder of images, in place of `dataset`.
        manual_dir: where a data set's archive was downloaded to by hand.
        image_size: the side of the images; the data set's own by default.
        limit: use the first so many images of each split.
        blend: the share of the real training images, 0..1, of which each
            epoch makes a self-blended fake.
        unfreeze: the first stage that phase two trains, `all` or `none`.
        epochs: of phase two. The recipe's depend on how many images there
            are, and so are filled in when these have been counted.
        batch_size: images a step, over all devices.
        accumulate: steps whose gradients make one update together.
        learning_rate: the peak in phase two.
        strategy: one of `dfk.training.strategies.STRATEGIES`.
        precision: one of `PRECISIONS`.
        seed: of the order, the augmentation, the dropout and new weights.
    """

    model: str
    weights: str = "default"
    dataset: str | None = None
    data_dir: str | None = None
    manual_dir: str | None = None
    image_size: int | None = None
    limit: int | None = None
    blend: float = 0.0
    unfreeze: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int = 1
    learning_rate: float | None = None
    strategy: str = "auto"
    precision: str = "float32"
    seed: int = 0

    def resolved(self) -> "Config":
        """This configuration with the recipe's values filled in, but epochs.

        Raises:
            UserError: a value that cannot be.
        """
        detector = models.get(self.model)
        recipe = detector.recipe
        if self.precision not in PRECISIONS:
            raise UserError(
                f"--precision={self.precision} is unknown: pass one of "
                f"{', '.join(PRECISIONS)}."
            )
        weights = detector.resolve(self.weights)
        filled = {
            name: getattr(recipe, name)
            for name in ("unfreeze", "batch_size", "learning_rate")
            if getattr(self, name) is None
        }
        if weights == "none" and "unfreeze" in filled:
            # There is nothing worth freezing in random weights.
            filled["unfreeze"] = "all"
        filled["dataset"], filled["data_dir"] = names.name_or_folder(
            self.dataset, self.data_dir
        )
        if self.dataset is None and self.data_dir is None:
            filled["dataset"] = data.DEFAULT
        full = dataclasses.replace(self, weights=weights, **filled)
        stages.trained_stages(detector, full.unfreeze)
        return full

    def record(self) -> dict[str, Any]:
        """All of it with what the code alone decides, for `config.json`.

        That is the fixed part of the recipe, and how far the detector
        enlarges its images.
        """
        recipe = models.get(self.model).recipe.fixed()
        recipe["native_size"] = models.get(self.model).native_size
        return dataclasses.asdict(self) | {"recipe": recipe}
