"""What a training run does, as follows from its configuration and data."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from dfk import data, models
from dfk.errors import UserError
from dfk.training import augmented, optimizer, self_blends, strategies
from dfk.training.augmented import augmented_sources
from dfk.training.config import OF_RECIPE, Config
from dfk.training.head_fit import Source
from dfk.training.self_blends import FAMILY, SelfBlends, blend_sources


def made_sources(
    parts: Sequence[data.FaceData],
    recipe: models.Recipe,
    blend: float,
    augment: float,
    seed: int,
) -> list[list[Source]]:
    """What a head on frozen features is fitted to beside the training images.

    Args:
        parts: the data sets, with their training splits.
        recipe: has the strength of the augmentation.
        blend: as in `Config`.
        augment: as in `Config`.
        seed: of both.

    Returns:
        For each data set none, one or two sources: changed copies of its
        images, and self-blends of its reals.

    Raises:
        UserError: self-blends are asked for, but a data set shows no face.
    """
    kinds = []
    if augment:
        strength = recipe.augmentation
        kinds.append(augmented_sources(parts, augment, strength, seed))
    if blend:
        kinds.append(blend_sources(parts, blend, seed))
    return [[kind[row] for kind in kinds] for row in range(len(parts))]


def _require_different(families: Sequence[str]) -> None:
    # They are sorted.
    for first, second in itertools.pairwise(families):
        if first == second:
            raise UserError(
                "A family of fakes is called after its data set, and two are "
                f"called {first!r}: rename a folder."
            )


@dataclass(frozen=True)
class Plan:
    """What a run does, after its data were opened: nothing is looked up again.

    Args:
        detector: its entry in the registry.
        weights: of the backbone: a name, an absolute path or `none`.
        recipe: the detector's, with the values of flags in their place.
        stages: the stages that phase two trains, with the prefixes of their
            layers' names.
        strategy: the devices.
        is_chief: whether this process writes the run's files.
        image_size: the side of the images in pixels.
        training: the training split.
        training_images: how many different images it has.
        validation: the validation split.
        blends: what makes self-blends of the training split, if any are made.
        validation_blends: self-blends of the validation split, likewise.
        sources: what the head is fitted on: the training split of each data
            set, and changed copies and self-blends if any are made.
        validations: of each data set, its validation split.
        families: the names of several families of fakes; else empty.
        enlarges: whether images smaller than the detector's native size are
            enlarged to it.
        accumulate: steps whose gradients make one update.
        precision: one of `dfk.training.config.PRECISIONS`.
        seed: of everything random.
    """

    detector: models.Detector
    weights: str
    recipe: models.Recipe
    stages: dict[str, tuple[str, ...]]
    strategy: tf.distribute.Strategy
    is_chief: bool
    image_size: int
    training: data.FaceSplit
    training_images: int
    validation: data.FaceSplit
    blends: SelfBlends | None
    validation_blends: data.FaceSplit | None
    sources: list[Source]
    validations: list[data.FaceSplit]
    families: list[str]
    enlarges: bool
    accumulate: int
    precision: str
    seed: int

    @classmethod
    def make(
        cls,
        config: Config,
        faces: data.FaceData,
        strategy: tf.distribute.Strategy,
    ) -> "Plan":
        """Makes the plan of a resolved configuration.

        Args:
            config: the configuration.
            faces: its data, with the splits for training and validation.
            strategy: its devices.

        Raises:
            UserError: self-blends are asked for, but no face is found; or two
                families have one name.
        """
        detector = models.get(config.model)
        training, validation = faces.splits["train"], faces.splits["validation"]
        blends = validation_blends = None
        parts = faces.parts or (faces,)
        sources = [Source(part.family, part.splits["train"]) for part in parts]
        families = faces.families
        if families and config.blend:
            families = sorted([*families, FAMILY])
        _require_different(families)
        if config.unfreeze == "none":
            # No epochs will follow, for which to make new ones.
            made = made_sources(
                parts,
                detector.recipe,
                config.blend,
                config.augment,
                config.seed,
            )
            sources += itertools.chain.from_iterable(made)
        elif config.blend:
            blends = SelfBlends(training, config.blend)
            # The same ones for each seed, so that seeds can be compared.
            validation_blends = SelfBlends(validation, share=1.0).split(seed=0)
            # One family among many knows no other.
            family = faces.family if not faces.parts else FAMILY
            sources.append(Source(family, blends.split(config.seed)))
        epochs = config.epochs or detector.recipe.epochs_for(training.size)
        chosen = {name: getattr(config, name) for name in OF_RECIPE}
        return cls(
            detector=detector,
            weights=config.weights,
            recipe=dataclasses.replace(
                detector.recipe, epochs=epochs, **chosen
            ),
            stages=optimizer.trained_stages(detector, config.unfreeze),
            strategy=strategy,
            is_chief=strategies.is_chief(strategy),
            image_size=faces.image_size,
            training=training,
            training_images=faces.images("train"),
            validation=validation,
            blends=blends,
            validation_blends=validation_blends,
            sources=sources,
            validations=[part.splits["validation"] for part in parts],
            families=families,
            enlarges=config.image_size is None or detector.image_size is None,
            accumulate=config.accumulate,
            precision=config.precision,
            seed=config.seed,
        )

    @property
    def self_blends(self) -> int:
        """How many images an epoch, or the head, gets from self-blending."""
        return self._made(self_blends.SUFFIX)

    @property
    def augmented(self) -> int:
        """How many changed copies the head gets beside the images."""
        return self._made(augmented.SUFFIX)

    def _made(self, suffix: str) -> int:
        splits = [source.split for source in self.sources]
        return sum(s.size for s in splits if s.name.endswith(suffix))

    @property
    def is_pretrained(self) -> bool:
        """Whether the backbone begins with weights that know images."""
        return self.weights != "none"

    @property
    def starts_frozen(self) -> bool:
        """Whether phase one fits the head to the backbone as it comes.

        Random features are not worth it, except to be measured by themselves.
        """
        return self.is_pretrained or self.recipe.unfreeze == "none"

    @property
    def stays_frozen(self) -> bool:
        """Whether the backbone never changes, so that features are kept."""
        return self.recipe.unfreeze == "none"

    def record(self) -> dict[str, Any]:
        """What `config.json` says of it, beside the configuration."""
        return {
            "image_size": self.image_size,
            "families": ", ".join(self.families) or "one",
            "training_images": self.training_images,
            "training_listing": self.training.listing,
            "validation_images": self.validation.size,
            "validation_listing": self.validation.listing,
            "self_blends": self.self_blends,
            "augmented": self.augmented,
            "starts_frozen": self.starts_frozen,
            "stages": ", ".join(self.stages) or "none",
            "epochs": self.recipe.epochs,
            "devices": strategies.describe(self.strategy),
        }
