import numpy as np
from dfk.evaluation.slices import by_group, by_size, sides_of
from PIL import Image

LABELS = np.array([0, 0, 1, 1, 1])
SCORES = np.array([0.1, 0.9, 0.9, 0.2, 0.8])


def test_the_worst_groups_come_first():
    groups = np.array(["ann", "bob", "ann", "bob", "alone"])
    assert by_group(groups, LABELS, SCORES) == [
        {"name": "bob", "images": 2, "accuracy": 0.0},
        {"name": "ann", "images": 2, "accuracy": 1.0},
    ]


def test_sizes_are_put_together_by_quartiles():
    sides = np.array([64, 64, 128, 256, 512])
    rows = by_size(sides, LABELS, SCORES)
    assert [(r["low"], r["high"], r["images"]) for r in rows] == [
        (64, 64, 2),
        (128, 128, 1),
        (256, 256, 1),
        (512, 512, 1),
    ]
    assert [r["accuracy"] for r in rows] == [0.5, 1.0, 0.0, 1.0]


def test_equal_sizes_are_one_row():
    (row,) = by_size(np.full(5, 256), LABELS, SCORES)
    assert (row["low"], row["high"], row["accuracy"]) == (256, 256, 0.6)


def test_the_shorter_side_counts(tmp_path):
    (tmp_path / "test" / "real").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(tmp_path / "test" / "real" / "a.png")
    ids = np.array(["test/real/a.png"])
    assert sides_of(str(tmp_path), ids).tolist() == [20]
    assert sides_of(str(tmp_path), np.array(["gone.png"])) is None


def test_sides_that_pillow_cannot_read_are_not_known(tmp_path):
    (tmp_path / "a.png").write_bytes(b"what TensorFlow may read all the same")
    assert sides_of(str(tmp_path), np.array(["a.png"])) is None
