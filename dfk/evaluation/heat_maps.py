"""Heat maps: where in an image the evidence for a verdict is.

Reference:
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization", ICCV 2017; Draelos & Carin, "Use HiResCAM
    instead of Grad-CAM for faithful explanations of convolutional neural
    networks", 2020, arXiv:2011.08891.
"""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from dfk.errors import UserError
from dfk.evaluation.plots import COLORS, INK
from dfk.files import replacing
from dfk.models import embedder
from dfk.models.layers import MomentPooling

BATCH_SIZE = 16

# Dark where there is nothing, bright where there is most; read alike by the
# colour-blind.
_HEAT = matplotlib.colormaps["inferno"]
_OPACITY = 0.75
_UNDECIDED = "#8a5a00"
# Small images are shown enlarged, large ones reduced, in pixels.
_SHOWN = 900
_DPI = 150
# A face below this share of the image's longer side is shown enlarged as
# well, as long as there are not too many.
_SMALL = 1 / 3
_MOST_ENLARGED = 4


class _Part(NamedTuple):
    """From images to the last feature maps and to a share of the logit."""

    maps_and_features: keras.Model
    head: keras.Model
    weight: float


def heat_maps(
    detector: keras.Model,
    images: np.ndarray,
    verdicts: Sequence[str],
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Maps the evidence for a detector's verdicts.

    A map is the gradient of the logit with respect to the feature maps of the
    last stage, times these maps, at each position, summed over the channels.
    This is Grad-CAM without its averaging of the gradient over the positions
    (HiResCAM). A head that pools deviations has another gradient at each
    position, which Grad-CAM would average away: on self-blended images, the
    heat predicts the blended face with a ROC AUC of .86, that of Grad-CAM++
    with .83 and that of Grad-CAM with .75 (see `benchmarks/recipes.md`).

    For `real` it shows the evidence for real, for `fake` and `uncertain` the
    evidence for fake. The image and its flip are both mapped, and the map of
    the flip is flipped back. Maps are as coarse as the last stage: one of
    5 x 5 shows a region, not a pixel. The hottest position is 1 whether the
    evidence is strong or weak. The numbers above come from a small network
    that recognised self-blended images, where the truth is known; generated
    faces have no truth to check a map against.

    Args:
        detector: a model from `dfk.models.build` or `dfk.models.load`; of a
            combination, the evidence of all parts is added up.
        images: `[N, S, S, 3]`, RGB in 0..255.
        verdicts: the detector's for each of them.
        batch_size: how many images are mapped at a time.

    Returns:
        float32 `[N, S, S]` in 0..1, where 1 is the hottest position of each
        image; 0 everywhere in an image with no evidence for its verdict.

    Raises:
        UserError: a combination with a part that cannot be explained: it has
            no feature maps, or decides by trees, which have no gradient.

    Example:
        >>> heat = heat_maps(load("runs/facenet"), images, ["fake"])
        >>> heat[0].max()
        1.0
    """
    parts = list(_parts(detector))
    signs = np.where(np.array(verdicts) == "real", -1.0, 1.0)
    size = detector.input_shape[1]
    heat = []
    for start in range(0, len(images), batch_size):
        batch = tf.cast(images[start : start + batch_size], tf.float32)
        sign = tf.cast(signs[start : start + batch_size], tf.float32)
        evidence = sum(_evidence(part, batch, size) for part in parts)
        positive = tf.nn.relu(sign[:, None, None, None] * evidence)
        hottest = tf.reduce_max(positive, axis=(1, 2), keepdims=True)
        heat.append(tf.math.divide_no_nan(positive, hottest)[..., 0].numpy())
    return np.concatenate(heat)


def _parts(detector: keras.Model) -> Iterator[_Part]:
    names = {layer.name for layer in detector.layers}
    logit = detector.get_layer("logit")
    if "part_logits" not in names:
        extractor = embedder(detector)
        head = keras.Model(extractor.output, logit.output)
        yield _Part(_with_maps(extractor), head, 1.0)
        return
    for number, weight in enumerate(logit.get_weights()[0][:, 0], 1):
        extractor = detector.get_layer(f"part{number}_features")
        head = detector.get_layer(f"part{number}_logit")
        yield _Part(_with_maps(extractor), head, float(weight))


def _with_maps(extractor: keras.Model) -> keras.Model:
    pooled = [x for x in extractor.layers if isinstance(x, MomentPooling)]
    if not pooled:
        raise _unexplained("has no feature maps")
    return keras.Model(
        extractor.inputs, [pooled[-1].input, extractor.outputs[0]]
    )


def _unexplained(reason: str) -> UserError:
    return UserError(
        f"A part of this combination cannot be explained, since it {reason}: "
        "explain one of the runs that it combines."
    )


def _evidence(part: _Part, images: tf.Tensor, size: int) -> tf.Tensor:
    """What each position adds to the logit, `[N, size, size, 1]`."""
    with tf.GradientTape() as tape:
        # Frozen layers have no variables that the tape would watch.
        tape.watch(images)
        maps, features = part.maps_and_features(images, training=False)
        logit = part.weight * part.head(features, training=False)
    gradient = tape.gradient(logit, maps)
    if gradient is None:
        raise _unexplained("decides by trees")
    evidence = tf.reduce_sum(
        tf.cast(gradient * maps, tf.float32), axis=-1, keepdims=True
    )
    straight, flipped = tf.split(evidence, 2)
    evidence = (straight + flipped[:, :, ::-1]) / 2
    # So that parts with maps of different sizes keep their proportions.
    density = evidence.shape[1] * evidence.shape[2]
    return density * tf.image.resize(evidence, (size, size))


class Region(NamedTuple):
    """A part of an image with a verdict of its own.

    Args:
        box: `(left, top, side)` of the square that the detector saw, in
            pixels of the image.
        face: `(x, y, width, height)` of the face in it, or None.
        heat: float `[S, S]` in 0..1, see `heat_maps`.
        text: a sentence about it.
        verdict: `real`, `fake` or `uncertain`.
    """

    box: tuple[int, int, int]
    face: tuple[int, int, int, int] | None
    heat: np.ndarray
    text: str
    verdict: str


def heated(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Draws a heat map over an image.

    Args:
        pixels: uint8 `[H, W, 3]`.
        heat: float `[h, w]` in 0..1; it is stretched over the image.

    Returns:
        uint8 `[H, W, 3]`.

    Example:
        >>> heated(np.zeros([8, 8, 3], "uint8"), np.ones([4, 4])).shape
        (8, 8, 3)
    """
    height, width = pixels.shape[:2]
    stretched = np.asarray(
        Image.fromarray(heat.astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
    )[..., None]
    colors = 255 * _HEAT(stretched[..., 0])[..., :3]
    opacity = _OPACITY * np.clip(stretched, 0, 1)
    mixed = (1 - opacity) * pixels + opacity * colors
    return np.round(mixed).astype(np.uint8)


def draw(
    path: Path, pixels: np.ndarray, regions: Sequence[Region], title: str
) -> None:
    """Writes an image with its heat maps, its faces and their verdicts.

    Args:
        path: of the PNG file; its folder is made if it is missing.
        pixels: uint8 `[H, W, 3]`, the whole image.
        regions: its parts with verdicts.
        title: stands above.

    Example:
        >>> draw(Path("out.png"), pixels, [region], "facenet: ann.jpg")
    """
    pixels = pixels.copy()
    for region in regions:
        part = _part(region)
        pixels[part] = heated(pixels[part], region.heat)
    longer = max(pixels.shape[:2])
    small = [x for x in regions if x.face and x.box[2] < _SMALL * longer]
    small = small[:_MOST_ENLARGED]
    height, width = np.array(pixels.shape[:2]) * _SHOWN / longer / _DPI
    width = max(4.0, width)
    # A single one need not fill the whole width.
    columns = max(2, len(small))
    heights = [height, width / columns] if small else [height]
    figure = Figure((width, sum(heights) + 1.4), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    axes = _show(figure.add_subplot(grid[0, :]), pixels)
    axes.set_title(title, loc="left", fontsize=10, color=INK, wrap=True)
    for number, region in enumerate(regions, 1):
        _frame(axes, region, f" {number} " if len(regions) > 1 else "")
    for column, region in enumerate(small):
        close = _show(
            figure.add_subplot(grid[1, column]), pixels[_part(region)]
        )
        if len(regions) > 1:
            close.set_title(f"{column + 1}", fontsize=10)
    _add_scale(figure)
    _write_texts(figure, regions)
    with replacing(path) as partial:
        figure.savefig(
            partial, format="png", facecolor="white", bbox_inches="tight"
        )


def _part(region: Region) -> tuple[slice, slice]:
    left, top, side = region.box
    return np.s_[top : top + side, left : left + side]


def _show(axes: Axes, pixels: np.ndarray) -> Axes:
    enlarged = max(pixels.shape[:2]) < _SHOWN / 2
    axes.imshow(pixels, interpolation="nearest" if enlarged else "antialiased")
    axes.set_axis_off()
    return axes


def _frame(axes: Axes, region: Region, number: str) -> None:
    if not region.face:
        return
    x, y, width, height = region.face
    color = COLORS.get(region.verdict, _UNDECIDED)
    axes.add_patch(Rectangle((x, y), width, height, fill=False, ec=color, lw=2))
    if number:
        axes.text(x, y, number, color="white", backgroundcolor=color)


def _add_scale(figure: Figure) -> None:
    scale = figure.colorbar(
        ScalarMappable(cmap=_HEAT),
        ax=figure.axes,
        location="bottom",
        aspect=40,
        pad=0.02,
    )
    scale.set_ticks([0, 1], labels=["no evidence", "most in this face"])
    for label, side in zip(
        scale.ax.get_xticklabels(), ("left", "right"), strict=True
    ):
        label.set_horizontalalignment(side)
    scale.ax.tick_params(labelsize=8, length=0, colors=INK)
    scale.outline.set_visible(False)


def _write_texts(figure: Figure, regions: Sequence[Region]) -> None:
    numbered = len(regions) > 1
    # In characters of the font size below.
    room = int(12 * figure.get_figwidth())
    lines = [
        textwrap.fill((f"{number}. " if numbered else "") + region.text, room)
        for number, region in enumerate(regions, 1)
    ]
    color = INK if numbered else COLORS.get(regions[0].verdict, _UNDECIDED)
    figure.supxlabel(
        "\n".join(lines), x=0.02, ha="left", fontsize=11, color=color
    )
