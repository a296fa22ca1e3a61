import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dfk.errors import UserError
from dfk.evaluation.explain import explain
from dfk.evaluation.heat_maps import heated
from dfk.images import decode, faces
from dfk.prediction.crops import crop
from dfk.prediction.predictions import FacePrediction, Prediction


def prediction(image, *boxes, score=0.9, error=None):
    return Prediction(
        image=str(image),
        verdict="fake",
        fake_probability=score,
        reason=None,
        family=None,
        faces=tuple(
            FacePrediction(box, 0.9, 0.9, "fake", None) for box in boxes
        ),
        detector="tiny",
        version=None,
        error=error,
    )


@pytest.fixture
def images(tmp_path):
    random = np.random.default_rng(0)
    paths = []
    for name, shape in (("wide", (40, 90, 3)), ("tall", (300, 120, 3))):
        path = tmp_path / f"{name}.png"
        Image.fromarray(random.integers(0, 255, shape, np.uint8)).save(path)
        paths.append(path)
    return paths


def test_heat_colours_only_where_there_is_some():
    pixels = np.full((20, 30, 3), 100, np.uint8)
    heat = np.zeros((10, 10))
    heat[:, 7:] = 1
    warm = heated(pixels, heat)
    assert warm.shape == pixels.shape
    assert (warm[:, :10] == 100).all()
    assert (warm[:, -3:] != 100).any(axis=-1).all()


def test_each_image_gets_a_drawing(detector, images, tmp_path):
    broken = prediction(
        tmp_path / "gone.png", error="cannot be opened", score=None
    )
    predictions = [prediction(images[0]), broken, prediction(images[1])]
    drawn = explain(detector, predictions, tmp_path / "out")
    assert [path.name for path in drawn] == ["wide-heat.png", "tall-heat.png"]
    with Image.open(drawn[0]) as wide, Image.open(drawn[1]) as tall:
        assert wide.width > wide.height
        assert tall.height > tall.width


@pytest.mark.parametrize("how", ["auto", "face", "none"])
def test_heat_is_of_what_the_detector_was_asked_about(
    detector, images, tmp_path, monkeypatch, how
):
    # As large as the image, so that auto takes it whole.
    box = (0, 0, 90, 40)
    monkeypatch.setattr(
        faces, "find_faces", lambda pixels: [faces.Face(box, 0.99, ())]
    )
    seen = []

    def heat_maps(detector, squares, verdicts):
        seen.extend(squares)
        return np.zeros(squares.shape[:3])

    monkeypatch.setattr("dfk.evaluation.explain.heat_maps", heat_maps)
    boxes = [box] if how == "face" else []
    predicted = prediction(images[0], *boxes)
    explain(detector, [predicted], tmp_path / "out", how)
    (asked_about,) = crop(str(images[0]), how).encoded
    size = detector.input_shape[1]
    np.testing.assert_array_equal(seen, [decode.decode(asked_about, size)])


def test_a_name_that_is_not_in_utf8_gets_a_drawing(detector, images, tmp_path):
    odd = images[0].rename(tmp_path / os.fsdecode(b"\xff.png"))
    assert explain(detector, [prediction(odd)], tmp_path / "out")


def test_all_faces_of_an_image_share_one_drawing(detector, images, tmp_path):
    def drawn(*boxes):
        (path,) = explain(
            detector, [prediction(images[0], *boxes)], tmp_path / "out"
        )
        with Image.open(path) as drawing:
            return np.asarray(drawing.convert("RGB"))

    both = drawn((5, 5, 20, 24), (60, 8, 18, 22))
    first = drawn((5, 5, 20, 24))
    assert both.shape != first.shape or (both != first).any()


def test_a_small_face_is_shown_enlarged_as_well(detector, images, tmp_path):
    def drawn(face):
        (path,) = explain(
            detector, [prediction(images[0], face)], tmp_path / "out"
        )
        with Image.open(path) as drawing:
            return drawing.height

    assert drawn((5, 5, 12, 14)) > 1.4 * drawn((0, 0, 40, 40))


def test_a_drawing_that_cannot_be_written_is_named(detector, images, tmp_path):
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out"
    with pytest.raises(UserError, match="cannot be written"):
        explain(detector, [prediction(images[0])], out)


def predict(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dfk.predict", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_command_draws(make_run, images, tmp_path):
    run, out = make_run(tmp_path), tmp_path / "out"
    options = ["--crop=none", f"--explain={out}", "--json"]
    done = predict(images[0], f"--model={run}", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert f"Drawn: {out}/wide-heat.png" in done.stderr
    assert (out / "wide-heat.png").is_file()
