import json
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from dfk.errors import UserError
from dfk.images import faces
from dfk.prediction.inputs import LARGEST
from dfk.prediction.predictor import AHEAD, BATCH


@pytest.fixture
def find_faces(monkeypatch):
    """Says which faces are in every image, and leaves their crops."""

    def find(*boxes):
        found = [faces.Face(box, 0.99, ()) for box in boxes]
        monkeypatch.setattr(faces, "find_faces", lambda pixels: found)

    return find


def test_a_prediction_has_the_fields_that_callers_depend_on(loaded, files):
    fields = json.loads(loaded.predict(files[:1], "none")[0].to_json())
    assert list(fields) == [
        *("image", "verdict", "fake_probability", "reason", "family"),
        *("faces", "detector", "version"),
    ]
    assert fields["image"] == files[0]
    assert fields["detector"] == "tiny"
    assert fields["family"] is fields["version"] is None
    assert fields["faces"] == []
    assert 0 <= fields["fake_probability"] <= 1


@pytest.mark.parametrize(
    ("level", "verdict", "reason"),
    [
        (0, "real", None),
        (255, "fake", None),
        (100, "uncertain", "too close to call"),
    ],
)
def test_only_what_is_uncertain_has_a_reason(
    brightness, level, verdict, reason
):
    (prediction,) = brightness.predict([bytes([level])], "none")
    assert (prediction.verdict, prediction.reason) == (verdict, reason)


def test_paths_and_bytes_are_predicted_alike(loaded, files, images):
    mixed = [files[0], Path(files[1]), images[0], images[1]]
    predictions = loaded.predict(mixed, "none")
    assert [p.image for p in predictions] == [*files[:2], None, None]
    scores = [p.fake_probability for p in predictions]
    assert scores[:2] == pytest.approx(scores[2:], abs=1e-6)
    assert [s.fake_probability for s in loaded.score(images[:2])] == (
        pytest.approx(scores[:2], abs=1e-6)
    )


def test_every_image_is_predicted_in_the_order_given(loaded, files):
    images = [*files, *files[::-1]] * 4
    assert len(images) > BATCH
    predictions = loaded.predict(images, "none")
    assert [p.image for p in predictions] == images
    scores = {p.image: round(p.fake_probability, 5) for p in predictions}
    assert len(set(scores.values())) == len(files)
    for prediction in predictions:
        assert round(prediction.fake_probability, 5) == scores[prediction.image]


def test_what_cannot_be_read_is_an_error_among_others(loaded, files, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    bad = [str(tmp_path / "gone.png"), str(tmp_path), str(text)]
    images = [bad[0], files[0], *bad[1:], files[1]]
    predictions = loaded.predict(images, "none")
    assert [p.error is None for p in predictions] == [0, 1, 0, 0, 1]
    reasons = ["No such file", "Is a directory", "not a picture"]
    broken = [p for p in predictions if p.error]
    for prediction, reason in zip(broken, reasons, strict=True):
        fields = json.loads(prediction.to_json())
        assert reason in fields["error"]
        assert fields["fake_probability"] is fields["reason"] is None
        assert fields["verdict"] == "unreadable"


def test_a_file_of_gigabytes_is_an_error_among_others(
    brightness, files, tmp_path
):
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        file.truncate(LARGEST + 1)
    predictions = brightness.predict([files[0], str(film), files[1]], "none")
    assert [p.error is None for p in predictions] == [True, False, True]
    assert predictions[1].verdict == "unreadable"
    assert "more than 512 MiB" in predictions[1].error


def test_requests_are_limited_by_number(brightness):
    assert len(brightness.score([b"x"] * (BATCH + 1))) == BATCH + 1
    assert brightness.requests == [BATCH, 1]


def test_requests_are_limited_by_bytes_as_well(brightness, files):
    brightness.batch_bytes = max(map(os.path.getsize, files)) + 1
    assert len(brightness.predict(files, "none")) == len(files)
    assert len(brightness.requests) > 1


def test_predictions_come_before_all_images_are_read(brightness):
    read = []

    def images():
        for number in range(10 * BATCH):
            read.append(number)
            yield bytes([number % 256])

    next(brightness.stream(images(), "none"))
    assert len(read) <= BATCH + AHEAD + 2


def test_the_most_suspicious_face_speaks_for_its_image(brightness, find, files):
    find(
        ((2, 3, 16, 18), 0.99, 10),
        ((0, 1, 14, 14), 0.98, 250),
        ((30, 1, 9, 9), 0.97, 100),
        # Not a face, in all likelihood.
        ((1, 1, 5, 5), 0.7, 255),
    )
    predictions = brightness.predict(files[:2], crop="face")
    assert [p.image for p in predictions] == files[:2]
    fields = predictions[0].to_dict()
    assert fields["verdict"] == "fake"
    assert fields["fake_probability"] == 250 / 255
    assert fields["reason"] is None
    assert fields["faces"] == [
        {
            "box": [2, 3, 16, 18],
            "confidence": 0.99,
            "fake_probability": 10 / 255,
            "verdict": "real",
            "reason": None,
        },
        {
            "box": [0, 1, 14, 14],
            "confidence": 0.98,
            "fake_probability": 250 / 255,
            "verdict": "fake",
            "reason": None,
        },
        {
            "box": [30, 1, 9, 9],
            "confidence": 0.97,
            "fake_probability": 100 / 255,
            "verdict": "uncertain",
            "reason": "too close to call",
        },
    ]


def test_the_image_has_the_reason_of_that_face(brightness, find, files):
    find(((2, 3, 16, 18), 0.99, 10), ((0, 1, 14, 14), 0.98, 100))
    (prediction,) = brightness.predict(files[:1], crop="face")
    assert prediction.verdict == "uncertain"
    assert prediction.reason == "too close to call"


def test_a_crowd_is_divided_into_requests(brightness, find, files):
    find(*[((2, 3, 16, 18 + n), 0.99, 10) for n in range(BATCH + 8)])
    (prediction,) = brightness.predict(files[:1], crop="face")
    assert len(prediction.faces) == BATCH + 8
    assert brightness.requests == [BATCH, 8]


def test_faces_are_scored_as_their_crops(loaded, files, monkeypatch):
    found = [
        faces.Face((2, 3, 16, 18), 0.99, ()),
        faces.Face((0, 1, 14, 14), 0.91, ()),
    ]
    monkeypatch.setattr(faces, "find_faces", lambda pixels: found)
    (prediction,) = loaded.predict(files[:1], crop="face")
    pixels = np.asarray(PIL.Image.open(files[0]).convert("RGB"))
    crops = [faces.stored_jpeg(faces.crop_face(pixels, face)) for face in found]
    expected = [score.fake_probability for score in loaded.score(crops)]
    assert [f.fake_probability for f in prediction.faces] == pytest.approx(
        expected, abs=1e-6
    )
    assert prediction.fake_probability == pytest.approx(max(expected), abs=1e-6)


@pytest.mark.parametrize("crop", ["auto", "face"])
def test_an_image_without_a_face_is_uncertain(brightness, find, files, crop):
    find(((2, 3, 16, 18), 0.8, 10))
    (prediction,) = brightness.predict(files[:1], crop)
    assert prediction.verdict == "uncertain"
    assert prediction.reason == "no face found"
    assert prediction.fake_probability is prediction.error is None
    assert brightness.requests == []


def test_the_crop_of_a_face_is_taken_whole(loaded, find_faces):
    noise = np.random.default_rng(3).integers(0, 256, (320, 310, 3), "uint8")
    # With the margin its crop is as large as the image.
    find_faces((0, 0, 310, 320), (1, 1, 9, 9))
    (prediction,) = loaded.predict(noise)
    assert prediction.faces == ()
    # Stored as training faces are, but asked for as it is.
    (stored,) = loaded.score([faces.stored_jpeg(noise)])
    assert prediction.fake_probability == stored.fake_probability
    (as_it_is,) = loaded.predict(noise, "none")
    assert as_it_is.fake_probability != stored.fake_probability
    find_faces((0, 0, 100, 100))
    (prediction,) = loaded.predict(noise)
    assert len(prediction.faces) == 1


def test_another_crop_is_refused(brightness, files):
    with pytest.raises(UserError, match=r"auto, face, none\. Received: 'head'"):
        brightness.predict(files, "head")


def test_an_unreadable_image_has_no_faces_either(loaded, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    (prediction,) = loaded.predict([str(text)], crop="face")
    assert prediction.verdict == "unreadable"
    assert prediction.faces == ()
