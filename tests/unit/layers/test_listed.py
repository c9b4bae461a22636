"""What holds for every layer that an artifact may hold: it is listed, saves and loads, and is rebuilt from its seed."""

import importlib

import keras
import numpy as np
import pytest

from automl import layers
from automl.layers import deformable, sequences, tables

ROWS = np.ones((2, 3), np.float32)
STEPS = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], np.float32)[..., None]

LAYERS = {
    "FeatureScale": (tables.FeatureScale(2.0), [ROWS]),
    "PeriodicEmbedding": (tables.PeriodicEmbedding(4, 3, 0.2, "relu", seed=5), [ROWS]),
    "PiecewiseLinearEncoding": (
        tables.PiecewiseLinearEncoding([[0.0, 0.5, 2.0]] * 3), [ROWS],
    ),
    "CategoryEncoding": (tables.CategoryEncoding([3, 9, 9], [3, 2, 9], seed=1), [ROWS.astype(np.int32)]),
    "MemberAffine": (tables.MemberAffine(4, True, "signs", seed=1), [ROWS]),
    "PaddingMask": (sequences.PaddingMask(), [np.array([[4, 2, 0], [1, 0, 0]], np.int32)]),
    "ChannelSlice": (sequences.ChannelSlice(1, 3), [STEPS]),
    "MaskedMean": (sequences.MaskedMean(), [STEPS, MASK]),
    "Taps": (sequences.Taps(3, 2, centred=True), [STEPS[:, None]]),
    "CodeLimit": (sequences.CodeLimit(3, 1), [np.array([[4, 2, 0], [1, 3, 0]], np.int32)]),
    "TokenPairs": (sequences.TokenPairs(11), [np.array([[4, 2, 0], [1, 3, 5]], np.int32)]),
    "DeformableSampling": (
        deformable.DeformableSampling(3, 2), [np.ones((2, 5, 6, 3), np.float32), np.full((2, 3, 3, 18), 0.3, np.float32)],
    ),
}


def run(layer, arrays):
    """A model of the layer alone, and what it gives for the arrays."""
    inputs = [keras.Input(a.shape[1:], dtype=a.dtype.name) for a in arrays]
    model = keras.Model(inputs, layer(inputs[0] if len(inputs) == 1 else inputs))
    return model, np.asarray(model(arrays))


def test_every_layer_that_an_artifact_may_hold_is_listed():
    listed = {name.partition(":")[2] for name in layers.LAYERS}
    assert listed == set(LAYERS)
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
