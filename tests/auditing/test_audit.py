import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dfk.auditing import audit as audit_module
from dfk.auditing.audit import audit
from dfk.errors import UserError

SIZES = {"train": 20, "valid": 3, "test": 6}


@pytest.fixture
def faces(tmp_path):
    """Unlike blotches, of which the fakes are saved at another quality."""
    rng = np.random.default_rng(0)
    for split, size in SIZES.items():
        for label, quality in (("real", 75), ("fake", 90)):
            folder = tmp_path / "faces" / split / label
            folder.mkdir(parents=True)
            for number in range(size):
                coarse = rng.integers(0, 256, (9, 9, 3), "uint8")
                Image.fromarray(coarse).resize((48, 48)).save(
                    folder / f"{number:02d}.jpg", quality=quality
                )
    return tmp_path / "faces"


def verdicts(record):
    return {check["name"]: check["verdict"] for check in record["checks"]}


def sentence(record, name):
    (check,) = (c for c in record["checks"] if c["name"] == name)
    return check["sentence"]


def test_fakes_saved_at_another_quality_are_a_danger(faces, tmp_path):
    record = audit(str(faces), tmp_path / "page.html", people=False)
    assert verdicts(record) == {
        "unreadable files": "ok",
        "class balance": "ok",
        "groups": "not checked",
        "near-duplicates": "ok",
        "same person": "not checked",
        "image size": "ok",
        "file size": "danger",
        "JPEG encoding": "danger",
        "format": "ok",
        "metadata": "ok",
        "8x8 thumbnail": "ok",
    }
    assert "quality, 75 in real pictures and 90 in" in sentence(
        record, "JPEG encoding"
    )


def test_a_copy_in_another_split_is_shown(faces, tmp_path):
    copied = Image.open(faces / "train" / "real" / "00.jpg")
    copied.save(faces / "test" / "real" / "copy.jpg", quality=40)
    record = audit(str(faces), tmp_path / "page.html", people=False)
    assert verdicts(record)["near-duplicates"] == "danger"
    (pair,) = record["pairs"]["near-duplicates"]
    assert [side["id"] for side in pair["images"]] == [
        "test/real/copy.jpg",
        "train/real/00.jpg",
    ]
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg;base64") == 2
    assert "http" not in page.replace("http-equiv", "")


def test_the_record_lies_beside_the_page(faces, tmp_path):
    record = audit(str(faces), tmp_path / "page.html", people=False)
    written = json.loads((tmp_path / "page.json").read_text())
    assert written == json.loads(json.dumps(record))
    assert not list(tmp_path.glob("*.partial"))


def test_broken_files_are_listed_and_left_out(faces, tmp_path):
    name = "<b>broken.jpg"
    (faces / "test" / "fake" / name).write_bytes(b"no picture")
    (faces / "test" / "fake" / "folder.jpg").mkdir()
    record = audit(str(faces), tmp_path / "page.html", people=False)
    assert verdicts(record)["unreadable files"] == "look"
    assert record["images"] == {"train": 40, "validation": 6, "test": 12}
    page = (tmp_path / "page.html").read_text()
    assert "folder.jpg" in page
    assert "<b>broken" not in page


def test_a_data_set_without_all_splits_is_audited_on_what_it_has(
    faces, tmp_path
):
    for split in ("valid", "test"):
        (faces / split).rename(tmp_path / split)
    record = audit(str(faces), tmp_path / "page.html")
    found = verdicts(record)
    assert found["near-duplicates"] == found["same person"] == "not checked"
    assert found["JPEG encoding"] == "danger"


def test_one_class_alone_is_a_danger_and_leaves_nothing_to_predict(
    faces, tmp_path
):
    (faces / "train" / "real").rename(tmp_path / "real")
    found = verdicts(audit(str(faces), tmp_path / "page.html", people=False))
    assert found["class balance"] == "danger"
    assert found["JPEG encoding"] == "not checked"


def test_without_the_weights_people_are_not_checked(
    faces, tmp_path, monkeypatch
):
    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    record = audit(str(faces), tmp_path / "page.html")
    assert verdicts(record)["same person"] == "not checked"
    assert "pip could not download" in sentence(record, "same person")
    assert verdicts(record)["JPEG encoding"] == "danger"


def test_people_are_compared_where_the_network_can_be_had(
    faces, tmp_path, monkeypatch
):
    import keras

    def network(model, image_size):
        images = keras.Input((image_size, image_size, 3))
        pooled = keras.layers.Flatten()(
            keras.layers.AveragePooling2D(image_size // 8)(images)
        )
        return keras.Model(images, keras.layers.UnitNormalization()(pooled))

    monkeypatch.setenv("DFK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(audit_module, "extractor", network)
    (faces / "test" / "real" / "broken.jpg").write_bytes(b"no picture")
    same = (faces / "train" / "real" / "03.jpg").read_bytes()
    for number in range(6):
        (faces / "test" / "real" / f"{number:02d}.jpg").write_bytes(same)
    record = audit(str(faces), tmp_path / "page.html")
    assert verdicts(record)["same person"] == "danger"
    best = record["pairs"]["same person"][0]
    assert best["similarity"] == pytest.approx(1, abs=1e-3)
    assert best["images"][1]["id"] == "train/real/03.jpg"


def chunk(kind, data):
    """A chunk of a PNG."""
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        # A wrong check sum, which says nothing about the pixels.
        (chunk(b"tEXt", b"a\0bc")[:-1] + b"?", OSError),
        (chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 21))), ValueError),
    ],
)
def test_what_pillow_refuses_is_audited_all_the_same(
    faces, tmp_path, text, refusal
):
    pixels = np.asarray(Image.open(faces / "train/real/00.jpg"))
    png = tf.io.encode_png(pixels).numpy()
    (faces / "train/real/00.png").write_bytes(png[:33] + text + png[33:])
    with pytest.raises(refusal):
        Image.open(faces / "train/real/00.png")
    record = audit(str(faces), tmp_path / "page.html", people=False)
    assert verdicts(record)["unreadable files"] == "ok"
    assert verdicts(record)["JPEG encoding"] == "danger"


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(UserError, match=r"holds no pictures in \{train"):
        audit(str(tmp_path))


def test_only_broken_images_are_named(tmp_path):
    folder = tmp_path / "train" / "real"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_text("no picture")
    with pytest.raises(UserError, match="can be decoded"):
        audit(str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name one data set"),
        (["./nowhere"], "No folder ./nowhere"),
        ([__file__], "No folder"),
        ([os.curdir, "--output=page.pdf"], "is no page"),
        (["a,b"], "One data set is audited at a time"),
    ],
)
def test_wrong_input_is_answered_with_a_sentence(arguments, message):
    result = subprocess.run(
        [sys.executable, "-m", "dfk.audit", *arguments],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
