"""How each detector is trained: one recipe each, every choice with a reason."""

from dataclasses import dataclass

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
        epochs: how many epochs phase two has at most.
        patience: phase two ends after so many epochs without a better one
            on validation.
        learning_rate: the peak, after the warm-up and before the decay, of
            the head and the last stage.
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
    stage_decay: float = 1.0
    weight_decay: float = 1e-4
    label_smoothing: float = 0.05
    batch_size: int = 32
    augmentation: Augmentation = Augmentation()


# How each was chosen is in benchmarks/recipes.md. Patience is long, since the
# first epochs fall below the frozen features.
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
