"""The inference model gives what the NumPy form of the head says, within the training range, also in float16."""

from __future__ import annotations

import types

import numpy as np
import pytest

from automl.spec import Internal
from automl.tasks import head

CLASSIFICATION = types.SimpleNamespace(
    kind="classification", target_mean=None, target_std=None, target_min=None, target_max=None
)


def regression(mean: float, std: float, least: float, largest: float):
    return types.SimpleNamespace(kind="regression", target_mean=mean, target_std=std, target_min=least, target_max=largest)


TARGETS = {
    "house prices": regression(206_855.8, 115_395.6, 14_999.0, 500_001.0),
    "years": regression(1997.2, 3.1, 1950.0, 2003.0),
    "far from zero": regression(1_000_003.0, 2.5, 999_990.0, 1_000_020.0),
    "tiny": regression(0.003, 0.0004, 0.001, 0.01),
    "negative": regression(-5.0, 2.0, -10.0, 3.0),
    "huge": regression(3e9, 1e8, 1e9, 4e9),
}


def _core(shape: tuple[int, ...]):
    """A core whose output is its input, so that any output can be fed through the head."""
    import keras

    x = keras.Input(shape, name="numeric")
    return keras.Model({"numeric": x}, keras.layers.Activation("linear")(x))


@pytest.mark.parametrize("shape", [(4,), (8, 4)])
def test_probabilities(shape):
    output = np.random.default_rng(0).normal(0, 3, (50, *shape)).astype(np.float32)
    model = head.inference_model(_core(shape), CLASSIFICATION)
    expected = np.exp(output) / np.exp(output).sum(-1, keepdims=True)
    expected = expected.mean(1) if len(shape) == 2 else expected
    np.testing.assert_allclose(model.predict({"numeric": output}, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(head.predictions(output, CLASSIFICATION), expected, atol=1e-6)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("shape", [(1,), (8, 1)])
def test_numbers_come_back_in_the_targets_unit_and_range(name, shape):
    meta = TARGETS[name]
    y = np.random.default_rng(0).uniform(meta.target_min, meta.target_max, 50)
    output = head.standardised(y, meta)
    assert abs(output.mean()) < 20
    output = np.broadcast_to(output[:, None], (50, *shape)) if len(shape) == 2 else output
    model = head.inference_model(_core(shape), meta)
    tolerance = 2e-3 * meta.target_std
    for given in (model.predict({"numeric": output}, verbose=0), head.predictions(output, meta)):
        np.testing.assert_allclose(given[:, 0], y, atol=tolerance)
    beyond = np.array([-1e3, 1e3], np.float32).reshape(2, *(1,) * len(shape)) * np.ones(shape, np.float32)
    expected = [meta.target_min, meta.target_max]
    np.testing.assert_allclose(model.predict({"numeric": beyond}, verbose=0)[:, 0], expected, atol=tolerance)
    np.testing.assert_allclose(head.predictions(beyond, meta)[:, 0], expected, atol=tolerance)


@pytest.mark.parametrize("name", [n for n in TARGETS if n != "huge"])
def test_the_constants_of_the_way_back_are_exact_in_float16(name):
    scaling = head.Standardisation.of(TARGETS[name])
    coarse, fine = scaling.float16_parts()
    for constant in (scaling.low, scaling.unit, scaling.std / scaling.unit, coarse / scaling.unit, fine / scaling.unit):
        assert float(np.float16(constant)) == constant
    assert coarse + fine == pytest.approx(scaling.floor, abs=1e-9 * abs(scaling.floor))
    assert fine >= 0
    assert TARGETS[name].target_min - 2e-3 * scaling.std <= scaling.floor <= TARGETS[name].target_min + 1e-3 * scaling.std


def test_standardised_targets_have_about_zero_mean_and_unit_variance():
    y = np.random.default_rng(0).lognormal(3, 1, 5000)
    z = head.standardised(y, regression(y.mean(), y.std(), y.min(), y.max()))
    assert z.shape == (5000, 1)
    assert z.dtype == np.float32
    assert abs(z.mean()) < 2e-3
    assert z.std() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", ["house prices", "far from zero"])
def test_a_float16_artifact_keeps_the_unit(name):
    """Weights in float16 know neither 206,855 nor 1,000,001; the head's constants are chosen so that it doesn't matter."""
    from ai_edge_litert.interpreter import Interpreter

    from automl.export import tflite

    meta = TARGETS[name]
    output = np.linspace(-4, 4, 30, dtype=np.float32)[:, None]
    model = head.inference_model(_core((1,)), meta)
    runner = Interpreter(model_content=tflite.convert(model, "float16")).get_signature_runner()
    given = np.concatenate([next(iter(runner(numeric=row[None]).values())) for row in output])
    np.testing.assert_allclose(given, head.predictions(output, meta), atol=5e-3 * meta.target_std)


def test_each_member_of_a_packed_ensemble_has_a_last_layer_of_its_own():
    import keras

    x = keras.Input((3, 5))
    y = head.logits(x, 2, initializer="glorot_uniform", regularizer=None)
    model = keras.Model(x, y)
    kernel, bias = model.get_weights()
    assert kernel.shape == (3, 5, 2)
    value = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    np.testing.assert_allclose(model.predict(value, verbose=0), np.einsum("bmf,mfo->bmo", value, kernel) + bias, rtol=1e-4)


def test_regression_without_the_targets_statistics_is_our_fault():
    with pytest.raises(Internal, match="lack"):
        head.standardised(np.zeros(3), types.SimpleNamespace(**{**vars(CLASSIFICATION), "kind": "regression"}))
