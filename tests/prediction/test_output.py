"""How predictions are printed and drawn."""

import csv
import json

import numpy as np
import PIL.Image
import pytest
from PIL import ImageColor

from dfk.prediction import output
from dfk.prediction.annotate import COLORS, annotate
from dfk.prediction.predictions import Score


def printed(capsys, detector, images, crop="none", form="table"):
    predictions = output.print_predictions(detector, images, crop, form)
    return predictions, capsys.readouterr()


def test_a_table_has_a_line_an_image(brightness, tmp_path, capsys):
    image = tmp_path / "[bold]odd.png"
    image.write_bytes(bytes([100]))
    gone = tmp_path / "gone.png"
    predictions, shown = printed(capsys, brightness, [str(image), str(gone)])
    assert shown.out.splitlines() == [
        "verdict     P(fake)  picture",
        f"uncertain     0.392  {image} (too close to call)",
        f"-                 -  {gone}: cannot be opened: No such file or "
        "directory",
    ]
    assert shown.err == "2 pictures: 1 uncertain, 1 not answered.\n"
    assert output.exit_status(predictions) == 2
    assert output.exit_status(predictions[:1]) == 0


def test_a_table_has_a_line_a_face(brightness, find, files, capsys):
    find(((2, 3, 16, 18), 0.99, 10), ((0, 1, 14, 14), 0.98, 250))
    _, shown = printed(capsys, brightness, files[:1], "face")
    assert shown.out.splitlines()[1:] == [
        f"fake          0.980  {files[0]}, most suspicious of 2 faces",
        "real          0.039    face at 2, 3, 16, 18",
        "fake          0.980    face at 0, 1, 14, 14",
    ]
    find(((2, 3, 16, 18), 0.99, 10))
    _, shown = printed(capsys, brightness, files[:1], "face")
    assert shown.out.splitlines()[1:] == [f"real          0.039  {files[0]}"]


def test_values_are_separated_by_commas(brightness, tmp_path, capsys):
    image = tmp_path / "a,b.png"
    image.write_bytes(bytes([255]))
    _, shown = printed(capsys, brightness, [str(image)], form="csv")
    (row,) = csv.DictReader(shown.out.splitlines())
    assert row == {
        "image": str(image),
        "verdict": "fake",
        "fake_probability": "1.0",
        "detector": "brightness",
        **dict.fromkeys(["reason", "family", "version", "note", "error"], ""),
    }
    assert shown.err == ""


def test_each_prediction_is_printed_at_once(brightness, files, capsys):
    brightness.batch_size = 1

    def score(image_bytes):
        if len(brightness.requests) == 2:
            raise KeyboardInterrupt
        brightness.requests.append(1)
        return [Score(1.0, "fake", "")]

    brightness._score_batch = score
    with pytest.raises(KeyboardInterrupt):
        output.print_predictions(brightness, files, "none", "json")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["image"] for line in lines] == files[:2]


def test_boxes_and_verdicts_are_drawn(loaded, find, files, tmp_path):
    find(((2, 3, 16, 18), 0.99, 10))
    predictions = loaded.predict([files[0], *files[:2], "gone.png"], "face")
    # Those of faces have crops that are no pictures, so without a score.
    assert annotate(predictions, tmp_path) == []
    predictions = loaded.predict([files[0], files[0], files[1]], "none")
    drawn = annotate(predictions, tmp_path / "new")
    assert [path.name for path in drawn] == [
        *("0-faces.png", "0-2-faces.png", "1-faces.png")
    ]
    before, after = (
        np.asarray(PIL.Image.open(path).convert("RGB"))
        for path in (files[0], drawn[0])
    )
    assert after.shape == before.shape
    color = ImageColor.getrgb(COLORS[predictions[0].verdict])
    np.testing.assert_array_equal(after[-1], [color] * after.shape[1])
