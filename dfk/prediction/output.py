"""Printing predictions, for `dfk.query` and `dfk.predict` alike."""

import collections
import csv
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from dfk.prediction.predictions import (
    CSV,
    JSON,
    TABLE,
    FacePrediction,
    Prediction,
)
from dfk.prediction.predictor import Predictor
from dfk.progress import track

_STYLES = {"real": "green", "fake": "red", "uncertain": "yellow"}
# Wide enough for `unreadable` and for `P(fake)`.
_VERDICT, _NUMBER = 10, 7
# Of a prediction, as columns.
_COLUMNS = [
    field.name
    for field in dataclasses.fields(Prediction)
    if field.name != "faces"
]


def print_predictions(
    detector: Predictor, images: Sequence[str], crop: str, form: str = TABLE
) -> list[Prediction]:
    """Predicts images, and prints each prediction as soon as it is there.

    Args:
        detector: in this process, or behind a server.
        images: paths of images.
        crop: as in `Predictor.predict`.
        form: `table`, `json` (one object a line) or `csv`.

    Returns:
        The predictions.

    Raises:
        UserError: the detector cannot be asked.
    """
    show = {TABLE: _table, JSON: _json, CSV: _csv}[form]()
    printed = []
    found = detector.stream(images, crop)
    for prediction in track(found, "predicting", len(images)):
        show(prediction)
        sys.stdout.flush()
        printed.append(prediction)
    if len(printed) > 1:
        print(_summary(printed), file=sys.stderr)
    return printed


def exit_status(predictions: Sequence[Prediction]) -> int:
    """2 if some image could not be predicted, else 0."""
    return 2 if any(p.error is not None for p in predictions) else 0


def _json() -> Callable[[Prediction], None]:
    return lambda prediction: print(prediction.to_json())


def _csv() -> Callable[[Prediction], None]:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, extrasaction="ignore")
    writer.writeheader()
    return lambda prediction: writer.writerow(prediction.to_dict())


def _table() -> Callable[[Prediction], None]:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    console.print(_line("verdict", "P(fake)", "picture"), style="bold")

    def show(prediction: Prediction) -> None:
        for line, style in _lines(prediction):
            # As text, since rich would read [brackets] in a path as markup.
            console.print(Text(line, style))

    return show


def _lines(prediction: Prediction) -> Iterator[tuple[str, str]]:
    """The line of an image, and those of its faces if there are several."""
    image, faces = str(prediction.image), prediction.faces
    if prediction.error is not None:
        yield _line("-", "-", f"{image}: {prediction.error}"), "magenta"
        return
    if len(faces) > 1:
        image += f", most suspicious of {len(faces)} faces"
    yield _described(image, prediction)
    if len(faces) > 1:
        for face in faces:
            box = ", ".join(map(str, face.box))
            yield _described(f"  face at {box}", face)


def _described(
    what: str, found: Prediction | FacePrediction
) -> tuple[str, str]:
    family = getattr(found, "family", None)
    why = [
        found.reason or (family and f"resembles {family}"),
        getattr(found, "note", None),
    ]
    probability = found.fake_probability
    number = "-" if probability is None else f"{probability:.3f}"
    said = "; ".join(filter(None, why))
    text = f"{what} ({said})" if said else what
    return _line(found.verdict, number, text), _STYLES.get(found.verdict, "")


def _line(verdict: str, number: str, text: str) -> str:
    return f"{verdict:<{_VERDICT}}  {number:>{_NUMBER}}  {text}"


def _summary(predictions: Iterable[Prediction]) -> str:
    counts = collections.Counter(
        "not answered" if p.error is not None else p.verdict
        for p in predictions
    )
    parts = [f"{count} {verdict}" for verdict, count in counts.most_common()]
    return f"{counts.total()} pictures: {', '.join(parts)}."
