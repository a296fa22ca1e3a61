import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from dfk.auditing import encoding, shortcuts

LABELS = np.arange(80) % 2
GROUPS = np.arange(80)


def check(columns, labels=LABELS, groups=GROUPS):
    return shortcuts.check_encoding("signal", columns, labels, groups)


def test_what_never_varies_is_no_signal():
    found = check({"width": np.full(80, 256), "none": np.full(80, np.nan)})
    assert found.verdict == "ok"
    assert found.numbers["auc"]["value"] == 0.5


def test_what_differs_by_class_is_a_danger_and_named():
    rng = np.random.default_rng(0)
    width = np.where(LABELS == 1, 256, 224)
    found = check({"height": rng.integers(200, 300, 80), "width": width})
    assert found.verdict == "danger"
    assert "width, 224 in real pictures and 256 in fake ones" in found.sentence
    assert found.numbers["columns"][0]["auc"] == 1


def test_a_thing_that_only_fakes_have_is_a_danger():
    found = check({"quality": np.where(LABELS == 1, 90, np.nan)})
    assert found.verdict == "danger"
    assert found.numbers["columns"][0]["real"] == "none"


def test_strings_count_as_well():
    found = check({"mode": np.array(["RGB", "L"])[LABELS]})
    assert found.verdict == "danger"
    assert found.numbers["columns"][0]["fake"] == "L"


def test_chance_is_no_signal():
    noise = np.random.default_rng(0).normal(size=80)
    assert check({"bytes": noise}).verdict == "ok"


def test_a_group_tells_nothing_about_other_groups():
    # Each group has its own value and label: a group that is known could be
    # recognised, an unknown one cannot.
    groups = np.repeat(np.arange(40), 10)
    labels = np.random.default_rng(1).permutation(np.arange(40) % 2)[groups]
    value = np.random.default_rng(0).permutation(40)[groups]
    found = check({"bytes": value.astype(float)}, labels, groups)
    assert found.verdict == "ok"


def test_folds_of_unlike_base_rates_do_not_push_the_auc_below_one_half():
    constant = np.zeros((80, 1))
    auc = shortcuts.predictability(
        LogisticRegression(), constant, LABELS, GROUPS
    )
    assert auc["value"] == pytest.approx(0.5)


def test_the_interval_encloses_the_auc_and_narrows_with_more_images():
    rng = np.random.default_rng(0)
    widths = []
    for count in (80, 800):
        labels = np.arange(count) % 2
        features = rng.normal(size=(count, 1)) + labels[:, None]
        auc = shortcuts.predictability(
            LogisticRegression(), features, labels, np.arange(count)
        )
        # Two normal distributions one deviation apart have 0.76.
        assert auc["low"] < 0.76 < auc["high"]
        assert auc["low"] < auc["value"] < auc["high"]
        widths.append(auc["high"] - auc["low"])
    assert widths[1] < widths[0] / 2


def test_too_few_groups_are_noticed():
    assert shortcuts.too_few(LABELS[:30], GROUPS[:30])
    assert not shortcuts.too_few(LABELS, GROUPS)


def test_a_thumbnail_that_tells_everything_is_a_danger():
    thumbnails = np.random.default_rng(0).integers(0, 99, (80, 8, 8, 3))
    assert shortcuts.check_thumbnail(thumbnails, LABELS, GROUPS).verdict == "ok"
    thumbnails[LABELS == 1] += 40
    found = shortcuts.check_thumbnail(thumbnails, LABELS, GROUPS)
    assert found.verdict == "danger"


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), "uint8")
    return Image.fromarray(noise)


def test_a_jpeg_tells_how_it_was_written(image, tmp_path):
    exif = Image.Exif()
    exif[271] = "maker"
    image.save(tmp_path / "a.jpg", quality=60, subsampling=0, exif=exif)
    image.save(tmp_path / "b.jpg", quality=95, progressive=True)
    columns = encoding.columns([tmp_path / "a.jpg", tmp_path / "b.jpg"])
    jpeg, metadata = columns["JPEG encoding"], columns["metadata"]
    assert columns["image size"]["width"].tolist() == [40, 40]
    assert jpeg["quality"].tolist() == [60, 95]
    assert jpeg["chroma subsampling"].tolist() == [0, 2]
    assert jpeg["progressive"].tolist() == [0, 1]
    assert metadata["EXIF bytes"][0] > 0 == metadata["EXIF bytes"][1]


def test_a_png_has_no_jpeg_tables(image, tmp_path):
    image.save(tmp_path / "a.jpg")
    image.convert("L").save(tmp_path / "b.png")
    columns = encoding.columns([tmp_path / "a.jpg", tmp_path / "b.png"])
    assert np.isnan(columns["JPEG encoding"]["quality"]).tolist() == [0, 1]
    assert columns["format"]["format"].tolist() == ["JPEG", "PNG"]
    assert columns["format"]["mode"].tolist() == ["RGB", "L"]
