"""The layers for columns equal their formulas in NumPy, and are rebuilt from their config."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.layers import tables

RNG = np.random.default_rng(0)


def run(layer, x, dtype="float32"):
    inputs = keras.Input(x.shape[1:], dtype=dtype)
    model = keras.Model(inputs, layer(inputs))
    return model, np.asarray(model(x))


def test_feature_scale_starts_as_identity_and_learns_at_its_rate():
    x = RNG.normal(size=(5, 3)).astype(np.float32)
    layer = tables.FeatureScale(rate=6.0)
    _, y = run(layer, x)
    np.testing.assert_array_equal(y, x)
    layer.scale.assign([0.1, 0.0, -0.5])
    np.testing.assert_allclose(np.asarray(layer(x)), x * [1.6, 1.0, -2.0], rtol=1e-6)


def test_periodic_embedding():
    x = RNG.normal(size=(7, 3)).astype(np.float32)
    layer = tables.PeriodicEmbedding(frequencies=5, width=4, sigma=0.7, seed=1)
    model, y = run(layer, x)
    frequency, phase, mixing, bias = model.get_weights()
    waves = np.cos(2 * np.pi * (x[:, :, None] * frequency + phase))
    mixed = np.einsum("bdk,dko->bdo", waves, mixing) + bias
    expected = np.concatenate([x[:, :, None], mixed], axis=2).reshape(7, 12)
    assert model.output_shape == (None, 12)
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_periodic_frequencies_have_the_spread_that_is_asked_for():
    layer = tables.PeriodicEmbedding(frequencies=64, width=4, sigma=0.3, seed=1)
    layer.build((None, 100))
    assert float(np.std(layer.frequency)) == pytest.approx(0.3, rel=0.05)
    assert float(np.min(layer.phase)) >= -0.5
    assert float(np.max(layer.phase)) <= 0.5


def test_piecewise_linear_encoding():
    edges = [[-1.0, 0.0, 2.0], [0.0, 0.0, 1.0]]
    x = np.array([[-3, -1], [-0.5, 0], [1, 0.25], [5, 2]], np.float32)
    _, y = run(tables.PiecewiseLinearEncoding(edges), x)
    expected = [
        # x₁, its two bins, x₂, its two bins (the first is a step at 0)
        [-3, 0, 0, -1, 0, 0], [-0.5, 0.5, 0, 0, 0, 0], [1, 1, 0.5, 0.25, 1, 0.25], [5, 1, 1, 2, 1, 1],
    ]
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("edges", [[[0.0]], [[0.0, 1.0], [0.0, 1.0, 2.0]], [[1.0, 0.0]]])
def test_edges_must_be_ascending_and_equally_many(edges):
    with pytest.raises(ValueError, match="ascending"):
        tables.PiecewiseLinearEncoding(edges)


def test_category_encoding_is_one_hot_where_widths_allow_and_a_table_elsewhere():
    cardinalities, widths = [3, 40, 3, 20], [3, 4, 3, 4]
    codes = np.stack([RNG.integers(0, n, 11) for n in cardinalities], axis=1).astype(np.int32)
    layer = tables.CategoryEncoding(cardinalities, widths, seed=3)
    model, y = run(layer, codes, "int32")
    one_hot, table = (next(np.asarray(w) for w in model.weights if name in w.name) for name in ("one_hot", "embeddings"))
    assert table.shape == (60, 4)
    np.testing.assert_array_equal(one_hot, np.eye(3))
    expected = np.concatenate(
        [np.eye(3)[codes[:, 0]], np.eye(3)[codes[:, 2]], table[codes[:, 1]], table[40 + codes[:, 3]]], axis=1
    )
    np.testing.assert_allclose(y, expected, atol=1e-6)
    assert [w.name for w in model.trainable_weights] == ["embeddings_4"]
    assert model.output_shape == (None, sum(widths))


def test_category_vectors_begin_with_unit_length_on_average():
    layer = tables.CategoryEncoding([5000], [16], seed=1)
    layer.build((None, 1))
    assert float(np.mean(np.sum(np.square(np.asarray(layer._tables[0])), axis=1))) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_member_affine(shape, bias):
    x = RNG.normal(size=shape).astype(np.float32)
    layer = tables.MemberAffine(3, bias=bias, init="signs", seed=2)
    model, _ = run(layer, x)
    assert set(np.unique(np.asarray(layer.scale))) == {-1.0, 1.0}
    layer.scale.assign(RNG.normal(size=(3, 5)))
    if bias:
        layer.offset.assign(RNG.normal(size=(3, 5)))
    members = x if x.ndim == 3 else x[:, None]
    expected = members * np.asarray(layer.scale) + (np.asarray(layer.offset) if bias else 0)
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-6)
    assert model.output_shape == (None, 3, 5)
