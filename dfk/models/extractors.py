"""Networks that turn an image of a face into an embedding of length 1."""

from pathlib import Path

import keras

from dfk import models
from dfk.errors import UserError
from dfk.models import built_in, facenet
from dfk.models.layers import FlipAverage, Resize, UnitLength, WithFlips
from dfk.models.weights import load_by_name
from dfk.runs import BUILT_IN

# Of detectors without a size of their own: that of most ImageNet weights.
_USUAL_SIZE = 224


def extractor(model: str, image_size: int | None = None) -> keras.Model:
    """Builds a network that makes embeddings, with its weights.

    Args:
        model: `facenet` for FaceNet's own embedding, which tells people
            apart; another detector's name for the pretrained features of its
            stages; or `default`, the folder of a run, or a `.keras` file, for
            the features of that detector.
        image_size: the side S of the square images it takes, in pixels; by
            default the size that the model was trained at.

    Returns:
        A model from `[N, S, S, 3]` RGB pixels in 0..255 to embeddings
        `[N, D]` of length 1, float32: the mean over an image and its mirror
        image, scaled.

    Raises:
        UserError: an unknown name, weights that are not available, or a trained
            detector of another size.

    Example:
        >>> extractor("facenet", image_size=128).output_shape
        (None, 128)

    Reference:
        Schroff, Kalenichenko & Philbin, "FaceNet: A Unified Embedding for
        Face Recognition and Clustering", CVPR 2015.
    """
    if model == "facenet":
        return _recognizer(image_size or facenet.NATIVE_SIZE)
    if model == BUILT_IN or "/" in model or Path(model).exists():
        return _trained(model, image_size)
    return _pretrained(model, image_size)


def _recognizer(image_size: int) -> keras.Model:
    """FaceNet from raw pixels of any size."""
    network = facenet.recognizer()
    load_by_name(network, facenet.ms_celeb_1m())
    images = keras.Input((image_size, image_size, 3), name="images")
    x = images
    if image_size != facenet.NATIVE_SIZE:
        x = Resize(facenet.NATIVE_SIZE, name="resize")(x)
    x = facenet.ImageStandardization(name="standardize")(x)
    x = WithFlips(name="with_flips")(x)
    x = FlipAverage(name="flip_average")(network(x))
    x = UnitLength(name="embedding")(x)
    return keras.Model(images, x, name="facenet_recognizer")


def _pretrained(name: str, image_size: int | None) -> keras.Model:
    detector = models.get(name)
    if not detector.weights:
        raise UserError(
            f"{name} has no pretrained weights: train it first, and pass the "
            "folder of its run."
        )
    size = image_size or detector.native_size or _USUAL_SIZE
    return models.embedding_model(models.build(name, size))


def _trained(path: str, image_size: int | None) -> keras.Model:
    is_built_in = path == BUILT_IN
    detector = built_in.load() if is_built_in else models.load(path)
    takes = detector.input_shape[1]
    if image_size not in (None, takes):
        raise UserError(
            f"The detector {path} takes pictures of {takes} pixels: use that "
            f"size. Received: {image_size} pixels."
        )
    return models.embedding_model(detector)
