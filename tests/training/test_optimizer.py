"""Every detector has a recipe, and each stage learns at its own rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dfk import models
from dfk.training import optimizer


@pytest.mark.parametrize("name", models.names())
def test_every_detector_has_a_recipe_whose_stage_exists(name):
    unfreeze = models.get(name).recipe.unfreeze
    stages = optimizer.trained_stages(models.get(name), unfreeze)
    assert bool(stages) == (unfreeze != "none")


@pytest.mark.parametrize("name", models.names())
def test_more_images_get_fewer_epochs_and_more_updates(name):
    recipe = models.get(name).recipe
    sizes = (350, 1_400, 16_000, 100_000)
    few, chosen_on, many, most = map(recipe.epochs_for, sizes)
    assert few == chosen_on == recipe.epochs
    assert recipe.epochs > many >= most >= 3
    assert 1_400 * chosen_on < 16_000 * many < 100_000 * most


def test_earlier_stages_learn_more_slowly():
    trained = optimizer.trained_stages(models.get("facenet"), "block17")
    rates = optimizer.stage_rates(trained, 0.5)
    assert rates == {
        "Block17_": 0.25,
        "Mixed_7a_": 0.5,
        "Block8_": 1.0,
    }


def test_a_share_scales_the_step_of_its_layers_alone():
    inputs = keras.Input((1,))
    x = keras.layers.Dense(1, use_bias=False, name="early_fc")(inputs)
    x = keras.layers.Dense(1, use_bias=False, name="late_fc")(x)
    model = keras.Model(inputs, x)
    before = np.ravel(model.get_weights())
    adamw = optimizer.StagewiseAdamW(
        {"early_": 0.25}, learning_rate=0.1, weight_decay=0.0
    )
    gradients = [tf.ones((1, 1)), tf.ones((1, 1))]
    adamw.apply(gradients, model.trainable_variables)
    # Adam's first step is the learning rate, whatever the gradient.
    moved = before - np.ravel(model.get_weights())
    np.testing.assert_allclose(moved, [0.025, 0.1], rtol=1e-4)
