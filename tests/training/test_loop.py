"""Steps, updates and averages, on a network without any randomness."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dfk.training import strategies
from dfk.training.loop import FineTuning

PICTURES = np.random.default_rng(0).uniform(size=(40, 4)).astype(np.float32)
LABELS = (PICTURES[:, :1] > 0.5).astype(np.float32)


class Batches:
    """The same pictures in every epoch, in order."""

    def __init__(self, batch_size):
        self._batch_size = batch_size
        self.steps = len(PICTURES) // batch_size

    def epoch(self, number, context):
        pairs = tf.data.Dataset.from_tensor_slices((PICTURES, LABELS))
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
        tuning = FineTuning(
            model,
            optimizer,
            strategies.choose("one_device"),
            tmp_path,
            tmp_path / "logs",
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


def test_what_is_left_at_the_end_of_an_epoch_is_an_update_too(train):
    # Four steps: three of them, and one.
    model, updates = train(10, accumulate=3)
    assert updates == 2
    other, _ = train(10, accumulate=4)
    assert np.any(model.get_weights()[0] != other.get_weights()[0])
