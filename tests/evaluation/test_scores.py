import keras
import numpy as np
import pytest

from dfk import data
from dfk.errors import UserError
from dfk.evaluation.measure import score_split


@pytest.fixture(autouse=True)
def several_batches(monkeypatch):
    monkeypatch.setattr("dfk.evaluation.measure.BATCH_SIZE", 5)


@pytest.fixture(scope="module")
def split(faces):
    loaded = data.load(None, faces, image_size=16, splits=("test",))
    return loaded.splits["test"]


def test_scores_are_the_detectors_own(detector, split):
    scores = score_split(detector, split)
    images = np.stack([e["image"] for e in split.examples.as_numpy_iterator()])
    single = np.concatenate([detector(image[None])[0] for image in images])
    assert scores.probabilities == pytest.approx(single, abs=1e-6)
    assert scores.probabilities.dtype == np.float32


def test_every_image_keeps_its_name_and_label(detector, split):
    scores = score_split(detector, split)
    assert len(scores.ids) == len(set(scores.ids)) == split.size == 16
    assert len(scores.groups) == 16
    fake = np.array(["fake" in name for name in scores.ids])
    assert (scores.labels == fake).all()
    assert ((scores.probabilities > 0.5) == fake).all()


def test_images_of_another_size_are_refused(detector, faces):
    loaded = data.load(None, faces, image_size=20, splits=("test",))
    with pytest.raises(UserError, match="image_size=16"):
        score_split(detector, loaded.splits["test"])


def test_scores_that_are_no_numbers_are_refused(detector, split):
    broken = keras.models.clone_model(detector)
    broken.get_layer("logit").set_weights(
        [np.full((6, 1), np.nan), np.zeros(1)]
    )
    with pytest.raises(UserError, match="diverged"):
        score_split(broken, split)
