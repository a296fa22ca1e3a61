import json
import os
import struct
import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dfk.auditing import audit as audit_module
from dfk.auditing.audit import audit
from dfk.errors import UserError

SIZES = {"train": 20, "valid": 3, "test": 6}


def write_faces(folder):
    """Writes blotches that all differ; the fakes have another JPEG quality."""
    rng = np.random.default_rng(0)
    for split, size in SIZES.items():
        for label, quality in (("real", 75), ("fake", 90)):
            (folder / split / label).mkdir(parents=True)
            for number in range(size):
                coarse = rng.integers(0, 256, (9, 9, 3), "uint8")
                Image.fromarray(coarse).resize((48, 48)).save(
                    folder / split / label / f"{number:02d}.jpg",
                    quality=quality,
                )
    return folder


def chunk(kind, data):
    """A chunk of a PNG."""
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


# Pillow refuses a PNG with one of these, though its pixels are whole: a text
# with a wrong checksum, and one that inflates to more than Pillow allows.
REFUSED = {
    "checksum.png": (chunk(b"tEXt", b"a\0bc")[:-1] + b"?", OSError),
    "long-text.png": (
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 21))),
        ValueError,
    ),
}


def mean_colours(model, image_size):
    """Takes the place of FaceNet: equal images have equal embeddings."""
    images = keras.Input((image_size, image_size, 3))
    pooled = keras.layers.AveragePooling2D(image_size // 8)(images)
    flat = keras.layers.Flatten()(pooled)
    return keras.Model(images, keras.layers.UnitNormalization()(flat))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The folder and the record of an audit without FaceNet's weights."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFK_CACHE", str(folder / "cache"))
        patch.setenv("PIP_NO_INDEX", "1")
        faces = write_faces(folder / "faces")
        return folder, audit(str(faces), folder / "page.html")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """The same of a data set with copies, and broken and refused files."""
    folder = tmp_path_factory.mktemp("faulty")
    faces = write_faces(folder / "faces")
    train, test = faces / "train" / "real", faces / "test" / "real"
    Image.open(train / "00.jpg").save(test / "copy.jpg", quality=40)
    for number in range(SIZES["test"]):
        same = (train / "03.jpg").read_bytes()
        (test / f"{number:02d}.jpg").write_bytes(same)
    (test / "<b>broken.jpg").write_bytes(b"no picture")
    png = tf.io.encode_png(np.asarray(Image.open(train / "01.jpg"))).numpy()
    for name, (text, _) in REFUSED.items():
        (train / name).write_bytes(png[:33] + text + png[33:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFK_CACHE", str(folder / "cache"))
        patch.setattr(audit_module, "extractor", mean_colours)
        return folder, audit(str(faces), folder / "page.html")


def verdicts(record):
    return {check["name"]: check["verdict"] for check in record["checks"]}


def sentence(record, name):
    (check,) = (c for c in record["checks"] if c["name"] == name)
    return check["sentence"]


def test_fakes_saved_at_another_quality_are_a_danger(plain):
    _, record = plain
    assert verdicts(record) == {
        "unreadable files": "ok",
        "class balance": "ok",
        "groups": "not checked",
        "both labels": "ok",
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


def test_without_the_weights_people_are_not_checked(plain):
    _, record = plain
    assert "pip could not download" in sentence(record, "same person")


def test_the_record_lies_beside_the_page(plain):
    folder, record = plain
    written = json.loads((folder / "page.json").read_text())
    assert written == json.loads(json.dumps(record))
    assert not list(folder.glob("*.partial"))


def test_a_copy_in_another_split_is_shown(faulty):
    folder, record = faulty
    assert verdicts(record)["near-duplicates"] == "danger"
    pairs = [
        [image["id"] for image in pair["images"]]
        for pair in record["pairs"]["near-duplicates"]
    ]
    assert ["test/real/copy.jpg", "train/real/00.jpg"] in pairs
    page = (folder / "page.html").read_text()
    shown = sum(map(len, record["pairs"].values()))
    assert page.count("data:image/jpeg;base64") == 2 * shown
    assert "http" not in page.replace("http-equiv", "")


def test_broken_files_are_listed_and_left_out(faulty):
    folder, record = faulty
    assert verdicts(record)["unreadable files"] == "warning"
    # With the copy in test and the two that only Pillow refuses in train.
    assert record["images"] == {"train": 42, "validation": 6, "test": 13}
    page = (folder / "page.html").read_text()
    assert "&lt;b&gt;broken" in page
    assert "<b>broken" not in page


def test_what_pillow_refuses_is_audited_all_the_same(faulty):
    folder, record = faulty
    for name, (_, refusal) in REFUSED.items():
        with pytest.raises(refusal):
            Image.open(folder / "faces" / "train" / "real" / name)
        assert name not in sentence(record, "unreadable files")
    assert verdicts(record)["JPEG encoding"] == "danger"


def test_people_are_compared_where_the_network_can_be_had(faulty):
    _, record = faulty
    assert verdicts(record)["same person"] == "danger"
    best = record["pairs"]["same person"][0]
    assert best["similarity"] == pytest.approx(1, abs=1e-3)
    assert best["images"][1]["id"] == "train/real/03.jpg"


def run_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dfk.audit", *arguments],
        capture_output=True,
        text=True,
    )


@pytest.fixture
def few_faces(tmp_path):
    """Fakes of one split."""
    faces = write_faces(tmp_path / "faces")
    for missing in ("valid", "test", "train/real"):
        (faces / missing).rename(tmp_path / missing.replace("/", "-"))
    return faces


@pytest.mark.slow
def test_the_command_prints_what_was_found(few_faces, tmp_path):
    page = tmp_path / "audits" / "page.html"
    result = run_command(str(few_faces), f"--output={page}")
    assert result.returncode == 0, result.stderr
    assert "20 train" in result.stdout
    assert str(page) in result.stdout.replace("\n", "")
    assert page.is_file()


def test_one_split_and_one_class_leave_little_to_check(few_faces, tmp_path):
    found = verdicts(audit(str(few_faces), tmp_path / "page.html"))
    assert found["unreadable files"] == "ok"
    assert found["class balance"] == "danger"
    assert found["near-duplicates"] == found["same person"] == "not checked"
    assert found["JPEG encoding"] == found["both labels"] == "not checked"


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
    result = run_command(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
