"""The configuration of a training run: what flags and recipe decide."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import dfk
from dfk import data, models
from dfk.data import names
from dfk.errors import UserError
from dfk.files import expanded
from dfk.training import optimizer

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
# What the recipe decides unless a flag does; the epochs depend on the data.
OF_RECIPE = ("unfreeze", "batch_size", "learning_rate")


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
        augment: the share of the training images, 0..1, of which a head on
            frozen features also gets a changed copy.
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
    augment: float = 0.0
    unfreeze: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int = 1
    learning_rate: float | None = None
    strategy: str = "auto"
    precision: str = "float32"
    seed: int = 0

    def resolved(self) -> "Config":
        """This configuration with nothing left open but the epochs.

        The recipe's values are filled in, and paths are absolute.

        Raises:
            UserError: a value that cannot be.
        """
        detector = models.get(self.model)
        if self.precision not in PRECISIONS:
            raise UserError(
                f"--precision={self.precision} is unknown: pass one of "
                f"{', '.join(PRECISIONS)}."
            )
        filled = {
            name: getattr(detector.recipe, name)
            for name in OF_RECIPE
            if getattr(self, name) is None
        }
        weights = detector.resolve(self.weights)
        if weights == "none" and "unfreeze" in filled:
            # There is nothing worth freezing in random weights.
            filled["unfreeze"] = "all"
        if weights not in detector.weights and expanded(weights).is_file():
            weights = _absolute(weights)
        dataset, folder = names.name_or_folder(self.dataset, self.data_dir)
        if dataset is None and folder is None:
            dataset = data.DEFAULT
        full = dataclasses.replace(
            self,
            weights=weights,
            dataset=dataset,
            data_dir=names.absolute(folder),
            manual_dir=self.manual_dir and _absolute(self.manual_dir),
            **filled,
        )
        optimizer.trained_stages(detector, full.unfreeze)
        if full.augment and full.unfreeze != "none":
            raise UserError(
                f"--augment={full.augment} is for a backbone that stays "
                f"frozen, and this one is trained from `{full.unfreeze}` on, "
                "with changed pictures anyway: leave it out, or pass "
                "--unfreeze=none."
            )
        return full

    def settings(self) -> dict[str, Any]:
        """All that an equal training shares, for `config.json`.

        Beside this configuration, that is what the code decides: the fixed
        part of the recipe, how far the detector enlarges its images, and the
        format of the files.
        """
        detector = models.get(self.model)
        recipe = detector.recipe.fixed() | {"native_size": detector.native_size}
        return {
            "format": dfk.FORMAT,
            **dataclasses.asdict(self),
            "recipe": recipe,
        }


def _absolute(path: str) -> str:
    return str(expanded(path).resolve())
