"""The losses equal their formulas, and average over the members of a packed ensemble, not over their outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import special

from automl.layers import losses

RNG = np.random.default_rng(0)
SOFT = RNG.dirichlet([1, 1, 1], 6).astype(np.float32)
LOGITS = RNG.normal(0, 2, (6, 3)).astype(np.float32)
NUMBERS = RNG.normal(size=(6, 1)).astype(np.float32)
PREDICTED = RNG.normal(0, 2, (6, 1)).astype(np.float32)


def test_cross_entropy_equals_the_formula_and_keras():
    expected = -(SOFT * special.log_softmax(LOGITS, axis=1)).sum(1)
    np.testing.assert_allclose(losses.CrossEntropy().call(SOFT, LOGITS), expected, rtol=1e-5)
    reference = keras.losses.CategoricalCrossentropy(from_logits=True)(SOFT, LOGITS)
    np.testing.assert_allclose(losses.CrossEntropy()(SOFT, LOGITS), reference, rtol=1e-5)


def test_focal_at_gamma_0_is_cross_entropy():
    np.testing.assert_allclose(losses.Focal(0.0).call(SOFT, LOGITS), losses.CrossEntropy().call(SOFT, LOGITS), rtol=1e-5)


def test_focal_turns_away_from_easy_examples():
    p = special.softmax(LOGITS, axis=1)
    expected = -(SOFT * (1 - p) ** 2 * np.log(p)).sum(1)
    np.testing.assert_allclose(losses.Focal(2.0).call(SOFT, LOGITS), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.SquaredError(), ((NUMBERS - PREDICTED) ** 2)[:, 0]),
        (losses.AbsoluteError(), np.abs(NUMBERS - PREDICTED)[:, 0]),
        (losses.Huber(0.7), special.huber(0.7, (NUMBERS - PREDICTED))[:, 0]),
    ],
)
def test_losses_of_numbers(loss, expected):
    np.testing.assert_allclose(loss.call(NUMBERS, PREDICTED), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "target", "shape"),
    [
        (losses.CrossEntropy(), SOFT, (6, 4, 3)), (losses.Focal(), SOFT, (6, 4, 3)),
        (losses.SquaredError(), NUMBERS, (6, 4, 1)), (losses.AbsoluteError(), NUMBERS, (6, 4, 1)),
        (losses.Huber(), NUMBERS, (6, 4, 1)),
    ],
)
def test_each_member_is_trained_on_its_own_loss(loss, target, shape):
    output = RNG.normal(size=shape).astype(np.float32)
    single = np.mean([np.asarray(loss.call(target, output[:, m])) for m in range(4)], axis=0)
    np.testing.assert_allclose(loss.call(target, output), single, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 3), (6, 4, 3)])
def test_weights_of_examples_reach_the_mean(shape):
    output = RNG.normal(size=shape).astype(np.float32)
    weights = np.array([0, 0, 3, 1, 0, 2], np.float32)
    loss = losses.CrossEntropy()
    expected = (np.asarray(loss.call(SOFT, output)) * weights).sum() / 6
    np.testing.assert_allclose(loss(SOFT, output, sample_weight=weights), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [losses.Focal(1.5), losses.Huber(0.3)])
def test_parameters_survive_the_config(loss):
    again = type(loss).from_config(loss.get_config())
    assert again.get_config() == loss.get_config()
