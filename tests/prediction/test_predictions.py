import json
import os
from pathlib import Path

import numpy as np
import pytest
from tiny import encode

from dfk.images import faces
from dfk.prediction import detector
from dfk.prediction import predictions as records_module
from dfk.prediction.predictions import BATCH, LARGEST, ask


@pytest.fixture(scope="module")
def scorer(run):
    return detector.load(run)


@pytest.fixture
def files(tmp_path, images):
    paths = []
    for number, image in enumerate(images):
        path = tmp_path / f"{number}.png"
        path.write_bytes(image)
        paths.append(str(path))
    return paths


def test_a_record_has_the_fields_that_callers_depend_on(scorer, files):
    (record,) = ask(scorer, files[:1])
    fields = json.loads(record.to_json())
    assert set(fields) - {"reason"} == {
        "image",
        "face",
        "fake_probability",
        "verdict",
        "model",
        "version",
    }
    assert ("reason" in fields) == (fields["verdict"] == "uncertain")
    assert fields["image"] == files[0]
    assert fields["model"] == "tiny"
    assert fields["face"] is fields["version"] is None
    assert 0 <= fields["fake_probability"] <= 1


def test_every_image_is_answered_in_the_order_given(scorer, files):
    images = [*files, *files[::-1]] * 4
    assert len(images) > BATCH
    records = list(ask(scorer, images))
    assert [r.image for r in records] == images
    scores = {r.image: round(r.fake_probability, 5) for r in records}
    assert len(set(scores.values())) == len(files)
    assert all(round(r.fake_probability, 5) == scores[r.image] for r in records)


def test_what_cannot_be_read_is_an_error_among_answers(scorer, files, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    bad = [str(tmp_path / "gone.png"), str(tmp_path), str(text)]
    records = list(ask(scorer, [bad[0], files[0], *bad[1:], files[1]]))
    assert [r.error is None for r in records] == [0, 1, 0, 0, 1]
    reasons = ["No such file", "Is a directory", "not a picture"]
    broken = [r for r in records if r.error]
    for record, reason in zip(broken, reasons, strict=True):
        fields = json.loads(record.to_json())
        assert reason in fields["error"]
        assert fields["fake_probability"] is None
        assert fields["verdict"] == "unreadable"


def test_a_file_of_gigabytes_is_an_error_among_answers(scorer, files, tmp_path):
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        file.truncate(LARGEST + 1)
    records = list(ask(scorer, [files[0], str(film), files[1]]))
    assert [record.error is None for record in records] == [True, False, True]
    assert records[1].verdict == "unreadable"
    assert "more than 512 MiB" in records[1].error


@pytest.fixture
def asked(scorer, monkeypatch):
    """How many images each request held."""
    asked = []
    predict = scorer.predict
    monkeypatch.setattr(
        scorer,
        "predict",
        lambda images: asked.append(len(images)) or predict(images),
    )
    return asked


def test_requests_are_cut_by_bytes_as_well(scorer, files, asked, monkeypatch):
    sizes = [os.path.getsize(file) for file in files]
    monkeypatch.setattr(records_module, "LARGEST", max(sizes) + 1)
    assert len(list(ask(scorer, files))) == len(files)
    assert len(asked) > 1


def test_faces_are_cut_into_requests_by_their_number(
    scorer, files, asked, monkeypatch
):
    crowd = [faces.Face((2, 3, 16, 18), 0.99, ())] * 40
    monkeypatch.setattr(faces, "find_faces", lambda pixels: crowd)
    assert len(list(ask(scorer, files[:1], faces=True))) == 40
    assert asked == [32, 8]


def test_a_image_without_a_face_is_not_judged(scorer, tmp_path):
    flat = tmp_path / "flat.png"
    flat.write_bytes(encode(np.full((80, 80, 3), 90, np.uint8)))
    (record,) = ask(scorer, [str(flat)], faces=True)
    assert "no face found" in record.error
    assert record.fake_probability is None
    assert record.verdict is None


def test_each_face_gets_a_record(scorer, files, monkeypatch):
    # Where the faces are is not what is tested: no photograph is at hand.
    found = [
        faces.Face((2, 3, 16, 18), 0.99, ()),
        faces.Face((0, 1, 14, 14), 0.91, ()),
    ]
    monkeypatch.setattr(faces, "find_faces", lambda pixels: found)
    records = list(ask(scorer, files[:2], faces=True))
    assert [r.image for r in records] == [files[0]] * 2 + [files[1]] * 2
    assert records[0].face == {"box": [2, 3, 16, 18], "confidence": 0.99}
    crops = faces.face_crops(Path(files[0]).read_bytes())
    expected = scorer.predict([png for _, png in crops])
    assert [r.fake_probability for r in records[:2]] == pytest.approx(
        [a.fake_probability for a in expected], abs=1e-6
    )


def test_an_unreadable_image_has_no_faces_either(scorer, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    (record,) = ask(scorer, [str(text)], faces=True)
    assert record.verdict == "unreadable"
