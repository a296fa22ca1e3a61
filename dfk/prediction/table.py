"""Printing predictions, for `dfk.query` and `dfk.predict` alike."""

import sys
from collections.abc import Iterator, Sequence

from dfk.errors import UserError
from dfk.prediction.predictions import FacePrediction, Prediction, Predictor

_STYLES = {"real": "green", "fake": "red", "uncertain": "yellow"}


def print_predictions(
    detector: Predictor, images: Sequence[str], faces: bool, as_json: bool
) -> list[Prediction]:
    """Predicts images and prints what the detector says.

    Args:
        detector: in this process, or behind a server.
        images: paths of images.
        faces: whether to predict each face of an image.
        as_json: one JSON object a line instead of a table.

    Returns:
        The predictions.

    Raises:
        UserError: no image was named, or the detector cannot be asked.
    """
    if not images:
        raise UserError(
            "No picture was named: pass the path of one or more image files."
        )
    predictions = detector.stream(images, faces)
    return _print_json(predictions) if as_json else _print_table(predictions)


def exit_status(predictions: Sequence[Prediction]) -> int:
    """1 if some image could not be predicted, else 0."""
    return int(any(p.error is not None for p in predictions))


def _print_json(predictions: Iterator[Prediction]) -> list[Prediction]:
    printed = []
    for prediction in predictions:
        print(prediction.to_json(), flush=True)
        printed.append(prediction)
    return printed


def _print_table(predictions: Iterator[Prediction]) -> list[Prediction]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    predictions = list(predictions)
    last = predictions[-1]
    version = "" if last.version is None else f", version {last.version}"
    table = Table(title=f"{last.detector}{version}", title_justify="left")
    table.add_column("picture", overflow="fold")
    with_faces = any(prediction.faces for prediction in predictions)
    if with_faces:
        table.add_column("face (x, y, w, h)")
    table.add_column("P(fake)", justify="right")
    table.add_column("verdict")
    for prediction in predictions:
        for cells, style in _rows(prediction):
            if not with_faces:
                del cells[1]
            # As text, since rich would read [brackets] in a path as markup.
            row = [Text(cell) for cell in cells]
            row[-1].stylize(style)
            table.add_row(*row)
    # A file or a pipe gets as much room as the paths need.
    width = None if sys.stdout.isatty() else 160
    Console(width=width).print(table)
    return predictions


def _rows(prediction: Prediction) -> Iterator[tuple[list[str], str]]:
    """The cells and the style of an image's row, and of its faces' rows.

    A single face shares the row of its image.
    """
    image, faces = str(prediction.image), prediction.faces
    if prediction.error is not None:
        yield [image, "", "-", prediction.error], "magenta"
    elif len(faces) > 1:
        yield _cells(image, f"most suspicious of {len(faces)}", prediction)
        for face in faces:
            yield _cells("", _box(face), face)
    else:
        yield _cells(image, "".join(map(_box, faces)), prediction)


def _box(face: FacePrediction) -> str:
    return ", ".join(map(str, face.box))


def _cells(
    image: str, where: str, found: Prediction | FacePrediction
) -> tuple[list[str], str]:
    probability = found.fake_probability
    shown = "-" if probability is None else f"{probability:.3f}"
    verdict = found.verdict + (f": {found.reason}" if found.reason else "")
    if family := getattr(found, "family", None):
        verdict += f" (resembles: {family})"
    return [image, where, shown, verdict], _STYLES.get(found.verdict, "")
