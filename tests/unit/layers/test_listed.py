"""What holds for every layer that an artifact may hold: it is listed, saves and loads, and is rebuilt from its seed."""

import copy
import importlib

import keras
import numpy as np
import pytest

from automl import layers
from automl.layers import attention, bags, deformable, recurrent, sequences, tables, trees, windows

ROWS = np.ones((2, 3), np.float32)
STEPS = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], np.float32)[..., None]

CODES = np.array([[0, 2, 1], [2, 8, 5]], np.int32)
RNG = np.random.default_rng(0)
HEADS = RNG.normal(size=(2, 2, 4, 6)).astype(np.float32)
OTHERS = RNG.normal(size=(2, 2, 4, 6)).astype(np.float32)
SPARSE = np.full((2, 4, 2, 9), 1 / 9, np.float32)


def row(cell):
    """A layer that runs a cell, as the family of recurrent networks makes it."""
    return keras.layers.RNN(cell, return_sequences=True)


LAYERS = {
    "FeatureScale": (tables.FeatureScale(2.0), [ROWS]),
    "PeriodicEmbedding": (tables.PeriodicEmbedding(4, 3, 0.2, "relu", seed=5), [ROWS]),
    "PiecewiseLinearEncoding": (
        tables.PiecewiseLinearEncoding([[0.0, 0.5, 2.0]] * 3), [ROWS],
    ),
    "CategoryEncoding": (tables.CategoryEncoding([3, 9, 9], [3, 2, 9], seed=1), [ROWS.astype(np.int32)]),
    "MemberAffine": (tables.MemberAffine(4, True, "signs", seed=1), [ROWS]),
    "LinearSums": (tables.LinearSums(2, kernel_initializer=keras.initializers.GlorotUniform(1)), [ROWS]),
    "MemberColumns": (tables.MemberColumns(1, 3), [ROWS]),
    "PaddingMask": (sequences.PaddingMask(), [np.array([[4, 2, 0], [1, 0, 0]], np.int32)]),
    "ChannelSlice": (sequences.ChannelSlice(1, 3), [STEPS]),
    "MaskedMean": (sequences.MaskedMean(), [STEPS, MASK]),
    "Taps": (sequences.Taps(3, 2, centred=True), [STEPS[:, None]]),
    "CodeLimit": (sequences.CodeLimit(3, 1), [np.array([[4, 2, 0], [1, 3, 0]], np.int32)]),
    "TokenPairs": (sequences.TokenPairs(11), [np.array([[4, 2, 0], [1, 3, 5]], np.int32)]),
    "DeformableSampling": (
        deformable.DeformableSampling(3, 2), [np.ones((2, 5, 6, 3), np.float32), np.full((2, 3, 3, 18), 0.3, np.float32)],
    ),
    "NumberTokens": (tables.NumberTokens(4, seed=1), [ROWS]),
    "CategoryTokens": (tables.CategoryTokens([3, 9, 9], 4, seed=1), [CODES]),
    "Recurrence": (
        recurrent.Recurrence(
            keras.layers.GRU(3, return_sequences=True, kernel_initializer=keras.initializers.GlorotUniform(1),
                             recurrent_initializer=keras.initializers.Orthogonal(seed=2)),
            recurrent.QuasiRecurrent(3, 2, kernel_initializer=keras.initializers.GlorotUniform(3)),
        ), [STEPS / 24, MASK],
    ),
    "EndStates": (recurrent.EndStates(backward=True), [STEPS[..., :2], MASK]),
    "AttentionWeights": (attention.AttentionWeights(), [HEADS, OTHERS, MASK]),
    "AdditiveAttentionWeights": (attention.AdditiveAttentionWeights(seed=1), [HEADS, OTHERS, MASK]),
    "SparseAttentionWeights": (attention.SparseAttentionWeights(2, 2), [HEADS, OTHERS, MASK]),
    "Gathered": (attention.Gathered(), [RNG.random((2, 2, 4, 4)).astype(np.float32), HEADS]),
    "SparseGathered": (attention.SparseGathered(2, 2), [SPARSE[..., :8], HEADS]),
    "SinusoidalPositions": (attention.SinusoidalPositions(), [STEPS[..., :2]]),
    "LearnedPositions": (attention.LearnedPositions(seed=1), [STEPS]),
    "RotaryPositions": (attention.RotaryPositions(), [HEADS]),
    "StepWeights": (attention.StepWeights(), [STEPS[..., :1], MASK]),
    "WeightedSteps": (attention.WeightedSteps(), [STEPS, STEPS[..., :1]]),
    "ClassToken": (attention.ClassToken(seed=1), [STEPS]),
    "QueryTokens": (attention.QueryTokens(3, seed=1), [STEPS]),
    "FirstToken": (attention.FirstToken(), [STEPS]),
    "HaltingWeights": (attention.HaltingWeights(), [np.full((2, 4, 3), 0.4, np.float32), MASK]),
    "ToWindows": (windows.ToWindows(2, 2, 1), [RNG.normal(size=(2, 4, 4, 6)).astype(np.float32)]),
    "FromWindows": (windows.FromWindows(2, 2, 1, 4, 4), [RNG.normal(size=(2, 8, 4, 3)).astype(np.float32)]),
    "WindowWeights": (windows.WindowWeights(2, 2, 1, 4, 4), list(RNG.normal(size=(2, 2, 8, 4, 3)).astype(np.float32))),
    "DistinctCodes": (bags.DistinctCodes(), [np.array([[4, 2, 4], [0, 3, 0]], np.int32)]),
    "LinearBags": (
        bags.LinearBags([5, 3], 2), [np.array([[4, 2, 0], [1, 3, 0]], np.int32), np.array([[2, 0], [1, 2]], np.int32)],
    ),
    "DecisionTrees": (trees.DecisionTrees(3, 2, 4, 12, 3, 2), [ROWS]),
    "CategoryLevels": (trees.CategoryLevels([3, 9, 9], 2), [CODES]),
    "WeightedStates": (attention.WeightedStates(), [STEPS[..., :2], STEPS, 2 * STEPS]),
}
CELLS = {
    "IndependentCell": (
        recurrent.Recurrence(row(recurrent.IndependentCell(
            3, 4, kernel_initializer=keras.initializers.GlorotUniform(1),
            recurrent_initializer=keras.initializers.RandomUniform(0, 1, seed=2),
        ))), [STEPS / 24],
    ),
    "HierarchicalCell": (
        recurrent.Recurrence(row(recurrent.HierarchicalCell(
            3, kernel_initializer=keras.initializers.GlorotUniform(1),
            recurrent_initializer=keras.initializers.Orthogonal(seed=2),
        ))), [STEPS / 24],
    ),
}
"""Cells stand in a `Recurrence`, which is what is listed."""
LISTED, LAYERS = set(LAYERS), {**LAYERS, **CELLS}


def run(layer, arrays):
    """A model of the layer alone, and what it gives for the arrays."""
    inputs = [keras.Input(a.shape[1:], dtype=a.dtype.name) for a in arrays]
    model = keras.Model(inputs, layer(inputs[0] if len(inputs) == 1 else inputs))
    return model, np.asarray(model(arrays))


def test_every_layer_that_an_artifact_may_hold_is_listed():
    listed = {name.partition(":")[2] for name in layers.LAYERS}
    assert listed == LISTED
    for name in layers.LAYERS:
        module, _, cls = name.partition(":")
        assert issubclass(getattr(importlib.import_module(module), cls), keras.layers.Layer)


@pytest.mark.parametrize("name", LAYERS)
def test_a_saved_model_gives_the_same_after_loading(name, tmp_path):
    model, y = run(*LAYERS[name])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(LAYERS[name][1])), y)


@pytest.mark.parametrize("name", LAYERS)
def test_equal_seeds_give_equal_weights(name):
    layer, arrays = LAYERS[name]
    first, second = (run(type(layer).from_config(layer.get_config()), arrays)[0].get_weights() for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def in_float64(config):
    """A layer's config, and those of the layers inside it, with float64 in place of float32."""
    if isinstance(config, dict):
        return {k: "float64" if k == "dtype" else in_float64(v) for k, v in config.items()}
    return config


DIFFERENTIABLE = sorted(set(LAYERS) - {
    "PaddingMask", "CodeLimit", "TokenPairs", "ChannelSlice", "FeatureScale", "PeriodicEmbedding", "MemberAffine",
    "PiecewiseLinearEncoding", "CategoryEncoding", "MaskedMean", "HierarchicalCell", "DecisionTrees", "CategoryLevels",
    "DistinctCodes", "LinearBags",
})
"""Layers with gradients that this file checks. The two-level cell's are its own (straight through): see test_recurrent."""


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_agree_with_finite_differences(name):
    import tensorflow as tf

    layer, arrays = LAYERS[name]
    layer = type(layer).from_config(in_float64(copy.deepcopy(layer.get_config())))
    arrays = [a if a.dtype == np.int32 else a.astype(np.float64) for a in arrays]
    run(layer, arrays)
    weights = [w + 0.1 * RNG.normal(size=w.shape) for w in (v.numpy() for v in layer.trainable_variables)]
    others = [v.value for v in layer.non_trainable_variables]
    moving = [i for i, a in enumerate(LAYERS[name][1]) if a.dtype == np.float32 and a is not MASK]

    @tf.function
    def f(*given):
        values = list(arrays)
        for place, value in zip(moving, given[len(weights):], strict=True):
            values[place] = value
        output, _ = layer.stateless_call(list(given[: len(weights)]), others, values[0] if len(values) == 1 else values)
        return output

    exact, estimated = tf.test.compute_gradient(f, [*map(tf.constant, weights), *(tf.constant(arrays[i]) for i in moving)])
    assert exact, "something to differentiate"
    for a, b in zip(exact, estimated, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
