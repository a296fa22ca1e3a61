"""Steps, updates and averages, on a network without any randomness."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_detector import RECIPE

from dfk import data, models
from dfk.errors import UserError
from dfk.models.features import compute
from dfk.runs import Run
from dfk.training import strategies
from dfk.training.loop import FineTuning
from dfk.training.validation import Validation

IMAGES = np.random.default_rng(0).uniform(size=(40, 4)).astype(np.float32)
LABELS = (IMAGES[:, :1] > 0.5).astype(np.float32)


class Batches:
    """The same images in every epoch, in order."""

    def __init__(self, batch_size):
        self._batch_size = batch_size
        self.steps = len(IMAGES) // batch_size

    def epoch(self, number, context):
        pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
        return pairs.batch(self._batch_size, drop_remainder=True)


@pytest.fixture
def train(tmp_path):
    """Trains for an epoch; gives the model and its optimizer's updates."""

    def run(batch_size, accumulate=1):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        outputs = keras.layers.Dense(1, activation="sigmoid")(inputs)
        model = keras.Model(inputs, outputs)
        optimizer = keras.optimizers.SGD(0.5)
        recipe = dataclasses.replace(RECIPE, label_smoothing=0.0)
        tuning = FineTuning(
            model,
            optimizer,
            strategies.choose("one_device"),
            Run(tmp_path),
            recipe,
            accumulate=accumulate,
        )
        tuning.train_epoch(Batches(batch_size), 1)
        return model, int(optimizer.iterations)

    return run


@pytest.mark.parametrize(("small", "accumulate"), [(10, 2), (5, 4)])
def test_several_steps_make_the_update_of_one_large_step(
    train, small, accumulate
):
    whole, _ = train(20)
    pieces, updates = train(small, accumulate)
    assert updates == 2
    for ours, theirs in zip(
        pieces.get_weights(), whole.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_the_last_steps_of_an_epoch_make_an_update_too(train):
    # Four steps: one update of the first three, and one of the last.
    model, updates = train(10, accumulate=3)
    assert updates == 2
    start, _ = train(50)
    weights = [weight.copy() for weight in start.get_weights()]
    for rows in (slice(0, 30), slice(30, 40)):
        x = IMAGES[rows] @ weights[0] + weights[1]
        error = (1 / (1 + np.exp(-x)) - LABELS[rows]) / len(x)
        weights[0] -= 0.5 * IMAGES[rows].T @ error
        weights[1] -= 0.5 * error.sum(axis=0)
    for ours, theirs in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.slow
def test_an_overflow_on_any_device_skips_the_update():
    """In a process of its own, for the sake of its two devices."""
    script = Path(__file__).with_name("overflow_run.py")
    answer = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr[-3000:]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_training_that_diverges_says_so(train, monkeypatch, accumulate):
    monkeypatch.setattr(
        "test_loop.IMAGES", np.where(IMAGES > 0.9, np.nan, IMAGES)
    )
    with pytest.raises(UserError, match=r"diverged: .* lower learning rate"):
        train(10, accumulate)


def test_a_model_that_diverged_is_not_validated(tmp_path, faces_dir):
    split = data.load(None, str(faces_dir), image_size=40, limit=4)
    model = models.build("small", 40, "none")
    model.get_layer("logit").set_weights(
        [np.full(w.shape, np.nan) for w in model.get_layer("logit").weights]
    )
    validation = split.splits["validation"]
    with pytest.raises(UserError, match="diverged"):
        Validation(model, [validation], tmp_path)()
    with pytest.raises(UserError, match="diverged"):
        compute(models.logit_model(model), validation)
