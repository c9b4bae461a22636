"""Networks along one axis, written as networks of pictures of one row: the same numbers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from automl.compression import single_row

RNG = np.random.default_rng(0)
L = keras.layers


def spread(model: keras.Model) -> None:
    """Weights by chance, those of normalisations too."""
    model.set_weights([np.abs(RNG.normal(size=w.shape)) * 0.5 + 0.1 for w in model.get_weights()])


def same(model: keras.Model, steps: int = 17) -> keras.Model:
    x = RNG.normal(size=(5, steps, 4)).astype(np.float32)
    made = single_row.rewritten(model)
    np.testing.assert_allclose(np.asarray(made(x)), np.asarray(model(x)), rtol=1e-5, atol=1e-5)
    return made


@pytest.mark.parametrize("layer", [
    L.Conv1D(6, 3), L.Conv1D(6, 4, strides=2, padding="same", activation="relu"), L.Conv1D(6, 3, padding="causal"),
    L.Conv1D(6, 3, dilation_rate=3, padding="causal", use_bias=False), L.Conv1D(8, 3, groups=2, dilation_rate=2),
    L.SeparableConv1D(6, 3, padding="same", strides=2, depth_multiplier=2, activation="relu"),
    L.SeparableConv1D(6, 5, use_bias=False), L.DepthwiseConv1D(3, padding="same", activation="relu"),
    L.DepthwiseConv1D(3, strides=2, depth_multiplier=2),
], ids=lambda layer: f"{type(layer).__name__}-{layer.name}")
def test_each_convolution_alone(layer: Any) -> None:
    x = keras.Input((17, 4))
    model = keras.Model(x, type(layer).from_config({**layer.get_config(), "name": "convolution"})(x))
    spread(model)
    made = same(model)
    assert not any(type(one).__name__ in single_row.CONVOLUTIONS for one in made.layers)


def test_a_dense_layer_on_each_step_is_a_convolution() -> None:
    """Of one place; what stands on whole rows stays dense."""
    x = keras.Input((17, 4))
    y = L.Dense(5, use_bias=False)(L.Dense(6, activation="gelu")(x))
    model = keras.Model(x, L.Dense(3, name="last")(L.GlobalAveragePooling1D()(y)))
    spread(model)
    made = same(model)
    assert [type(layer).__name__ for layer in made.layers if layer.weights] == ["Conv2D", "Conv2D", "Dense"]


@pytest.mark.parametrize("steps", [17, None])
def test_a_network_stays_one_row_between_its_convolutions(steps: int | None) -> None:
    x = keras.Input((steps, 4))
    y = L.ReLU()(L.BatchNormalization(axis=2)(L.Conv1D(8, 3, padding="same", use_bias=False)(x)))
    z = L.BatchNormalization()(L.Conv1D(8, 5, padding="same")(L.MaxPooling1D(2, 1, "same")(y)))
    both = L.Concatenate(axis=2)([L.Add()([y, z]), L.AveragePooling1D(3, 1, "same")(z)])
    pooled = L.GlobalAveragePooling1D()(both)
    model = keras.Model(x, L.Dense(3, activation="softmax")(L.Concatenate()([pooled, L.GlobalMaxPooling1D()(both)])))
    spread(model)
    made = same(model)
    # One way in, and one back for each of the two poolings over all steps.
    assert sum(isinstance(layer, L.Reshape) for layer in made.layers) == 3


def test_a_network_without_convolutions_along_one_axis_is_left_alone() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    assert single_row.rewritten(model) is model
