"""How each detector is trained: one recipe each, every choice with a reason.

The size to which a backbone enlarges its pictures belongs to the detector
itself (`@register`, in `dfk/models/`), since a served one needs it too.
keras-cv's mixup did not help where it was tried (EfficientNet-Lite, all of its
stages), and what cutmix makes of a real and a fake face is a fake, not half of
one; so no recipe has either.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import keras

from dfk import models
from dfk.errors import UserError
from dfk.images.augment import Augmentation
from dfk.models.weights import backbone_layers


@dataclass(frozen=True)
class Recipe:
    """The settings of the two phases.

    Args:
        unfreeze: the first stage of the backbone that phase two trains, with
            all that come after it; `all` or `none`.
        epochs: how many epochs phase two has at most on 1,400 pictures, on
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
            back over about a hundred updates, two epochs of 1,400 pictures.
        stage_decay: each earlier stage learns at this share of the next
            one's rate.
        weight_decay: AdamW's. Hardly felt in some hundred steps; there for
            the tens of thousands of a large data set.
        label_smoothing: labels are drawn towards 0.5 by half of this, since
            what is known by heart must not become ever more certain.
        batch_size: images a step, over all replicas.
        augmentation: how much training pictures are changed.
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

    def epochs_for(self, pictures: int) -> int:
        """How many epochs phase two has at most on so many pictures.

        More pictures ask for more updates, but not for as many more: updates
        grow with the root of the pictures, and epochs fall with it. The rule
        is in the spirit of Kolesnikov et al., "Big Transfer", ECCV 2020: 500
        updates below 20,000 pictures, 20,000 above 500,000.

        Args:
            pictures: of the training part.

        Returns:
            `epochs` on few pictures, less on many, and never less than three.

        Example:
            >>> RECIPES["efficientnet_lite"].epochs_for(16_000)
            7
        """
        share = min(1.0, math.sqrt(_FEW / pictures))
        return max(min(_FEWEST_EPOCHS, self.epochs), round(self.epochs * share))

    def fixed(self) -> dict[str, Any]:
        """What no flag changes, to be kept with a run, as JSON has it."""
        values = dataclasses.asdict(self)
        return {name: values[name] for name in values if name not in _FLAGS}


# What recipes were chosen on, and the fewest epochs that leave one for the
# warm-up, one at the peak and one to come to rest.
_FEW = 1_400
_FEWEST_EPOCHS = 3
# Fields that `dfk.training.config.Config` has as well.
_FLAGS = ("unfreeze", "epochs", "batch_size", "learning_rate")


# How each was chosen is in benchmarks/recipes.md. Patience is long, since the
# first epochs of a pretrained backbone fall below its frozen features.
RECIPES = {
    # From scratch on few pictures, every pixel's grain is needed: they are
    # degraded half as often.
    # Small batches make the most steps of few pictures.
    "cnn": Recipe(
        "all",
        20,
        10,
        learning_rate=1e-3,
        batch_size=16,
        augmentation=Augmentation(degraded=0.25),
    ),
    # What it looks at is lost in a degraded picture.
    "forensic": Recipe(
        "all",
        12,
        12,
        learning_rate=1e-3,
        batch_size=16,
        augmentation=Augmentation(degraded=0.1),
    ),
    # ImageNet's features know little about faces: nearly all stages learn, and
    # fast. The early ones, which all pictures share, learn a quarter as fast.
    # A square erased keeps few pictures from being learnt by heart, which
    # pays over twice the epochs.
    "efficientnet_lite": Recipe(
        "block2",
        24,
        24,
        learning_rate=1.5e-3,
        stage_decay=0.8,
        augmentation=Augmentation(degraded=0.25, erased=0.5, shift=0.15),
    ),
    # Features of faces need bending, not replacing.
    "facenet": Recipe("block17", 6, 5, learning_rate=1e-4),
    # Not tried, for lack of their weights: the careful recipe that
    # EfficientNet-Lite had first.
    "efficientnet": Recipe("block4", 12, 6, learning_rate=2e-4),
    # Likewise, as fast as FaceNet, whose backbone is of its kind and size.
    "resnet": Recipe("conv3", 12, 6, learning_rate=1e-4),
}


def get(name: str) -> Recipe:
    """Finds a detector's recipe.

    Args:
        name: the name it was registered with.

    Raises:
        UserError: it has none.

    Example:
        >>> get("facenet").unfreeze
        'block17'
    """
    if name not in RECIPES:
        raise UserError(
            f"The detector {name} has no recipe to train it by: give it one in "
            "dfk/training/recipes.py."
        )
    return RECIPES[name]


def trained_stages(detector: models.Detector, first_stage: str) -> list[str]:
    """The stages of a backbone that phase two trains.

    Args:
        detector: a detector's entry in the registry.
        first_stage: a stage's name, `all` or `none`.

    Returns:
        That stage and all after it, in order.

    Raises:
        UserError: the backbone has no stage of that name.
    """
    stages = list(detector.stages)
    if first_stage == "all":
        return stages
    if first_stage == "none":
        return []
    if first_stage not in stages:
        raise UserError(
            f"--unfreeze={first_stage} is no stage of {detector.name}: pass "
            f"all, none or one of {', '.join(stages)}."
        )
    return stages[stages.index(first_stage) :]


def unfreeze(
    model: keras.Model, detector: models.Detector, first_stage: str
) -> None:
    """Makes a backbone trainable from a stage on, and frozen before it.

    Args:
        model: a detector's model.
        detector: its entry in the registry.
        first_stage: a stage's name, `all` or `none`.

    Raises:
        UserError: the backbone has no stage of that name.
    """
    prefixes = tuple(
        prefix
        for stage in trained_stages(detector, first_stage)
        for prefix in detector.stages[stage]
    )
    for layer in backbone_layers(model):
        layer.trainable = layer.name.startswith(prefixes)


def stage_rates(
    detector: models.Detector, first_stage: str, decay: float
) -> dict[str, float]:
    """How fast each stage learns, as a share of the learning rate.

    Early stages hold what all pictures have in common and need the least
    change (Howard & Ruder, "Universal Language Model Fine-tuning for Text
    Classification", ACL 2018, section 3.2).

    Args:
        detector: a detector's entry in the registry.
        first_stage: a stage's name, `all` or `none`.
        decay: each earlier stage learns at this share of the next one's rate.

    Returns:
        The shares by the prefixes of the layers' names.

    Example:
        >>> stage_rates(models.get("facenet"), "mixed_7a", 0.5)
        {'Mixed_7a_': 0.5, 'Block8_': 1.0}
    """
    stages = trained_stages(detector, first_stage)
    return {
        prefix: decay**distance
        for distance, stage in enumerate(reversed(stages))
        for prefix in detector.stages[stage]
    }


def freeze_statistics(model: keras.Model) -> None:
    """Runs a backbone's batch normalisations in inference mode for good.

    Pretrained statistics come from millions of pictures; small batches of
    another kind of picture would spoil them.

    Args:
        model: a detector's model.
    """
    for layer in backbone_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
