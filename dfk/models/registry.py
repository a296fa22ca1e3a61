"""The detectors by name, how each is trained, and how one is built.

Each detector's file has its own `Recipe`, with the reason for every choice;
benchmarks/recipes.md has the measurements. No recipe has mixup or cutmix:
keras-cv's mixup did not help where it was tried (EfficientNet-Lite, all of its
stages), and a face that cutmix pastes together from a real and a fake one is
fake, not half fake.
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from dfk.download import UnavailableError
from dfk.errors import UserError
from dfk.files import expanded
from dfk.images.augment import Augmentation
from dfk.models import head
from dfk.models.layers import MomentPooling
from dfk.models.out_of_distribution import RATE
from dfk.models.weights import copy, load, load_by_name

Backbone = Callable[[keras.KerasTensor], list[keras.KerasTensor]]
WeightLoader = Callable[[keras.Model], None]

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
        penalties: inverse strengths of the L2 penalty of the logistic
            regression that is fitted to frozen features; cross-validation
            chooses one.
        ridge: where it is not None, least squares (ridge regression) takes the
            place of the logistic regression, and this is the strength of its
            L2 penalty a row.
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
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    ridge: float | None = None
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
        # JSON knows no tuples; it is compared with what is read back.
        values = json.loads(json.dumps(dataclasses.asdict(self)))
        return {name: values[name] for name in values if name not in _FLAGS}


@dataclass(frozen=True)
class Detector:
    """A detector as its file describes it.

    Args:
        name: what `--model` says.
        backbone: from RGB pixels `[N, S, S, 3]` in 0..255, which it
            normalises itself, to the feature maps that the head pools, from
            early to late.
        stages: the backbone's stages in order, each with the prefixes of its
            layers' names. Fine-tuning unfreezes by stage.
        recipe: how it is trained.
        weights: loaders of pretrained weights by name; the first is the
            default. Empty for a detector that is trained from scratch.
        native_size: smaller images are enlarged to this side inside the
            model, since the weights were trained at it.
        image_size: the side at which files are read, unless another one is
            asked for; None of a detector without such a size. One that was
            asked for is not enlarged.
        pooling: the layer that makes one vector of each feature map.
        averages_flips: whether the features are the mean over an image and its
            mirror image.
        ood_parts: the `parts` of its `OutOfDistributionScore`.
        ood_rate: the share of images like those of validation that may be
            called out of distribution, where it was trained on one data set.
        read_weights: fills a model from a weights file.
    """

    name: str
    backbone: Backbone
    stages: dict[str, tuple[str, ...]]
    recipe: Recipe
    weights: dict[str, WeightLoader]
    native_size: int
    image_size: int | None
    pooling: type[keras.layers.Layer]
    averages_flips: bool
    ood_parts: Sequence[tuple[int, int]] | None
    ood_rate: float
    read_weights: Callable[[keras.Model, Path], None]

    def resolve(self, weights: str) -> str:
        """The name of the weights that `default` stands for."""
        if weights == "default":
            return next(iter(self.weights), "none")
        return weights


_DETECTORS: dict[str, Detector] = {}


def register(
    name: str,
    *,
    stages: dict[str, tuple[str, ...]],
    recipe: Recipe,
    weights: dict[str, WeightLoader] | None = None,
    native_size: int = 0,
    image_size: int | None = None,
    pooling: type[keras.layers.Layer] = MomentPooling,
    averages_flips: bool = True,
    ood_parts: Sequence[tuple[int, int]] | None = None,
    ood_rate: float = RATE,
    read_weights: Callable[[keras.Model, Path], None] = load_by_name,
) -> Callable[[Backbone], Backbone]:
    """Registers a backbone function as a detector; see `Detector`.

    Example:
        >>> recipe = Recipe("all", epochs=5, patience=5, learning_rate=1e-3)
        >>> @register("tiny", stages={"all": ("conv",)}, recipe=recipe)
        ... def tiny(x):
        ...     return [keras.layers.Conv2D(8, 3, name="conv")(x)]
    """

    def decorate(backbone: Backbone) -> Backbone:
        _DETECTORS[name] = Detector(
            name,
            backbone,
            stages,
            recipe,
            weights or {},
            native_size,
            image_size,
            pooling,
            averages_flips,
            ood_parts,
            ood_rate,
            read_weights,
        )
        return backbone

    return decorate


def names() -> list[str]:
    """The names of all detectors, sorted."""
    return sorted(_DETECTORS)


def get(name: str) -> Detector:
    """Looks a detector up.

    Raises:
        UserError: no detector has that name; the closest one is named.
    """
    if name not in _DETECTORS:
        close = difflib.get_close_matches(name, names(), n=1, cutoff=0)
        raise UserError(
            f"No detector is called {name!r}: did you mean {close[0]!r}? "
            f"The detectors are {', '.join(names())}."
        )
    return _DETECTORS[name]


def build(
    name: str,
    image_size: int = 128,
    weights: str = "default",
    families: Sequence[str] = (),
    enlarge: bool = True,
) -> keras.Model:
    """Builds a detector.

    Args:
        name: one of `names()`.
        image_size: the side S of the square images it takes, in pixels.
        weights: `default`, another name that the detector knows, `none` for
            random weights, or the path of a `.keras` detector or a weights
            file whose layers have the detector's names.
        families: the families of fakes; with two or more, each has a class.
        enlarge: whether images smaller than the detector's native size are
            enlarged to it.

    Returns:
        A model from `[N, S, S, 3]` RGB pixels in 0..255 to `[N, 1]`
        probabilities of fake.

    Raises:
        UserError: an unknown name, or weights that are not available. Random
            weights are never used instead.

    Example:
        >>> detector = build("cnn", image_size=128)
        >>> detector(tf.zeros([1, 128, 128, 3])).shape
        TensorShape([1, 1])
    """
    detector = get(name)
    model = head.assemble(
        name,
        image_size,
        detector.backbone,
        detector.native_size if enlarge else 0,
        detector.pooling,
        detector.averages_flips,
        families,
        detector.ood_parts,
    )
    _load_weights(model, detector, weights)
    return model


def _load_weights(model: keras.Model, detector: Detector, weights: str) -> None:
    weights = detector.resolve(weights)
    if weights == "none":
        return
    if weights in detector.weights:
        try:
            detector.weights[weights](model)
        except UnavailableError as error:
            raise UserError(
                f"The weights {weights!r} of {detector.name} are not "
                f"available: {error}"
            ) from error
        return
    path = expanded(weights)
    if not path.is_file():
        known = ", ".join(["default", *detector.weights, "none"])
        raise UserError(
            f"{detector.name} knows no weights {weights!r}, and no file has "
            f"that path: pass one of {known}, or the path of a weights file."
        )
    if path.suffix == ".keras":
        copy(load(path).layers, model, str(path))
    else:
        detector.read_weights(model, path)
