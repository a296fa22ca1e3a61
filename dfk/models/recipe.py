"""How a detector is trained: the settings of both phases.

Each detector's file has its own `Recipe`, with the reason for every choice;
benchmarks/recipes.md has the measurements. No recipe has mixup or cutmix:
keras-cv's mixup did not help where it was tried (EfficientNet-Lite, all of its
stages), and a face that cutmix pastes together from a real and a fake one is
fake, not half fake.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from dfk.images.augment import Augmentation

# So many images recipes were chosen on.
_FEW = 1_400
# One epoch for the warm-up, one at the peak and one in which the rate falls.
_FEWEST_EPOCHS = 3
# Fields that flags can change as well.
_FLAGS = ("unfreeze", "epochs", "batch_size", "learning_rate")


@dataclass(frozen=True)
class Recipe:
    """The settings of the two phases.

    Args:
        unfreeze: the first stage of the backbone that phase two trains, with
            all that come after it; `all` or `none`.
        epochs: how many epochs phase two has at most on up to 1,400 images,
            the number on which it was chosen; see `epochs_for` for more.
        patience: phase two ends after so many epochs without a better one
            on validation.
        learning_rate: the peak rate of the head and the last stage; it falls
            to 0 along a cosine.
        warm_up: epochs in which the learning rate rises to its peak. AdamW
            has yet to learn the scale of its first steps, and at the full rate
            they would destroy the fitted head.
        averaging: the share that the moving average of the weights keeps of
            itself at every fourth update. The average, which is what is
            validated and saved, thus spans about a hundred updates, or two
            epochs of 1,400 images.
        stage_decay: each stage learns at this share of the rate of the stage
            after it.
        weight_decay: AdamW's. It hardly matters in some hundred steps; it is
            there for the tens of thousands of a large data set.
        label_smoothing: labels move towards 0.5 by half of this, so that
            memorised images do not become ever more certain.
        batch_size: images a step, over all replicas.
        augmentation: how much training images are changed.
    """

    unfreeze: str
    epochs: int
    patience: int
    learning_rate: float
    warm_up: float = 1.0
    averaging: float = 0.96
    stage_decay: float = 1.0
    weight_decay: float = 1e-4
    label_smoothing: float = 0.05
    batch_size: int = 32
    augmentation: Augmentation = Augmentation()

    def epochs_for(self, images: int) -> int:
        """How many epochs phase two has at most on a number of images.

        More images need more updates, but not in proportion: updates grow
        with the root of the number of images, so epochs fall with it. The rule
        follows Kolesnikov et al., "Big Transfer", ECCV 2020, who use 500
        updates below 20,000 images and 20,000 above 500,000.

        Args:
            images: how many there are to train on.

        Returns:
            `epochs` on few images, fewer on many, but at least three.

        Example:
            >>> models.get("efficientnet_lite").recipe.epochs_for(16_000)
            7
        """
        share = min(1.0, math.sqrt(_FEW / images))
        return max(min(_FEWEST_EPOCHS, self.epochs), round(self.epochs * share))

    def fixed(self) -> dict[str, Any]:
        """The fields that no flag changes, as JSON for a run's folder."""
        values = dataclasses.asdict(self)
        return {name: values[name] for name in values if name not in _FLAGS}
