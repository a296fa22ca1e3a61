"""Which stages of a backbone learn, and how fast."""

import keras

from dfk.errors import UserError
from dfk.models import Detector, backbone_layers


def trained_stages(detector: Detector, first_stage: str) -> list[str]:
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


def unfreeze(model: keras.Model, detector: Detector, first_stage: str) -> None:
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
    detector: Detector, first_stage: str, decay: float
) -> dict[str, float]:
    """How fast each stage learns, as a share of the learning rate.

    Early stages hold what all images have in common and need the least
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

    Pretrained statistics come from millions of images; small batches of
    another kind of image would spoil them.

    Args:
        model: a detector's model.
    """
    for layer in backbone_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
