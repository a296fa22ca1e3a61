"""How a detector is trained: the settings of both phases.

Each detector's file gives its own `Recipe`, with the reason of every choice;
benchmarks/recipes.md has the measurements. keras-cv's mixup did not help where
it was tried (EfficientNet-Lite, all of its stages), and what cutmix makes of a
real and a fake face is a fake, not half of one; so no recipe has either.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from dfk.images.augment import Augmentation

# What recipes were chosen on, and the fewest epochs that leave one for the
# warm-up, one at the peak and one to come to rest.
_FEW = 1_400
_FEWEST_EPOCHS = 3
# Fields that flags can change, too.
_FLAGS = ("unfreeze", "epochs", "batch_size", "learning_rate")


@dataclass(frozen=True)
class Recipe:
    """The settings of the two phases.

    Args:
        unfreeze: the first stage of the backbone that phase two trains, with
            all that come after it; `all` or `none`.
        epochs: how many epochs phase two has at most on 1,400 images, on
            which it was chosen, or fewer; `epochs_for` says how many on more.
        patience: phase two ends after so many epochs without a better one
            on validation.
        learning_rate: the peak of the head and the last stage, which falls to
            0 along a cosine.
        warm_up: epochs in which the learning rate rises to its peak, since
            AdamW's first steps, whose scale it has yet to learn, would tear a
            fitted head apart.
        averaging: every fourth update, the moving average of the weights, which
            is what is validated and kept, keeps this share of itself: it looks
            back over about a hundred updates, two epochs of 1,400 images.
        stage_decay: each earlier stage learns at this share of the next
            one's rate.
        weight_decay: AdamW's. Hardly felt in some hundred steps; there for
            the tens of thousands of a large data set.
        label_smoothing: labels are drawn towards 0.5 by half of this, since
            what is known by heart must not become ever more certain.
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
        """How many epochs phase two has at most on so many images.

        More images ask for more updates, but not for as many more: updates
        grow with the root of the images, and epochs fall with it. The rule
        is in the spirit of Kolesnikov et al., "Big Transfer", ECCV 2020: 500
        updates below 20,000 images, 20,000 above 500,000.

        Args:
            images: of the training part.

        Returns:
            `epochs` on few images, less on many, and never less than three.

        Example:
            >>> models.get("efficientnet_lite").recipe.epochs_for(16_000)
            7
        """
        share = min(1.0, math.sqrt(_FEW / images))
        return max(min(_FEWEST_EPOCHS, self.epochs), round(self.epochs * share))

    def fixed(self) -> dict[str, Any]:
        """The part that no flag changes, to be kept with a run as JSON."""
        values = dataclasses.asdict(self)
        return {name: values[name] for name in values if name not in _FLAGS}
