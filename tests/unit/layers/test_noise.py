"""Noise that acts in training only: its rate, its shape, its mean, its price."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import integrate, ndimage, stats

from automl.layers import folding, noise


@pytest.mark.parametrize(
    ("side", "size", "rate"), [((16, 16), 3, 0.1), ((8, 12), 5, 0.25), ((4, 4), 7, 0.2), ((9, 9), 2, 0.3)]
)
def test_dropblock_hides_its_share_in_squares(side, size, rate):
    layer = noise.DropBlock(rate, size, seed=3)
    y = np.asarray(layer(np.ones((300, *side, 4), np.float32), training=True))
    hidden = y == 0
    assert hidden.mean() == pytest.approx(rate, abs=0.02)
    assert y.mean() == pytest.approx(1, abs=1e-3)
    length = min(size, *side)
    square = np.ones((length, length))
    # Nothing but whole squares: opening by one takes away whatever isn't made of them.
    for channel in np.moveaxis(hidden[:50], -1, 1).reshape(-1, *side):
        np.testing.assert_array_equal(ndimage.binary_opening(channel, square), channel)
    assert (hidden[..., :1] != hidden).any()  # each channel for itself


def test_the_chance_of_a_corner_is_near_the_papers_where_squares_hardly_overlap():
    gamma = 0.02 / 3**2 * 64**2 / 62**2
    assert noise.corner_chance(64, 64, 3, 0.02) == pytest.approx(gamma, rel=0.02)


def test_dropblock_is_nothing_in_inference_and_is_folded_away():
    inputs = keras.Input((8, 8, 2))
    model = keras.Model(inputs, keras.layers.ReLU(name="end")(noise.DropBlock(0.3)(inputs)))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(model(x)), np.maximum(x, 0))
    folded = folding.fold(model)
    assert [type(layer).__name__ for layer in folded.layers] == ["InputLayer", "ReLU"]
    np.testing.assert_array_equal(np.asarray(folded(x)), np.maximum(x, 0))


def test_the_divergence_is_the_integral():
    mean, variance = 0.7, 0.3
    p, q = stats.norm(mean, np.sqrt(variance)), stats.norm(0, 1)
    expected, _ = integrate.quad(lambda t: p.pdf(t) * (p.logpdf(t) - q.logpdf(t)), -8, 8)
    found = noise.divergence(np.full((5, 1), mean, np.float32), np.full((5, 1), np.log(variance), np.float32))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    # Summed over units, the mean over examples.
    means, variances = np.array([[mean, mean], [0, 0]], np.float32), np.array([[variance] * 2, [1, 1]], np.float32)
    both = noise.divergence(means, np.log(variances))
    assert float(both) == pytest.approx(expected, rel=1e-5)


def test_the_divergences_gradient_equals_differences():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    m, v = tf.constant(rng.normal(size=(3, 2))), tf.constant(rng.normal(size=(3, 2)))
    with tf.GradientTape() as tape:
        tape.watch([m, v])
        y = noise.divergence(m, v)
    gm, gv = tape.gradient(y, [m, v])
    for place in np.ndindex(3, 2):
        step = np.zeros((3, 2))
        step[place] = 1e-5
        for gradient, ends in (
            (gm, [noise.divergence(m + s * step, v) for s in (1, -1)]),
            (gv, [noise.divergence(m, v + s * step) for s in (1, -1)]),
        ):
            assert float(gradient.numpy()[place]) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("shape", [(6,), (4, 6)])
def test_the_bottleneck_gives_its_mean_in_inference_and_noise_in_training(shape, tmp_path):
    inputs = keras.Input(shape)
    layer = noise.GaussianBottleneck(3, 0.1, seed=1)
    model = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(size=(2000, *shape)).astype(np.float32)
    kernel, bias = layer.mean.get_weights()
    mean = x @ kernel + bias
    np.testing.assert_allclose(np.asarray(model(x)), mean, atol=1e-4)
    assert model.losses == []
    drawn = np.asarray(model(x, training=True))
    np.testing.assert_allclose((drawn - mean).std(axis=0), np.exp(-2), rtol=0.08)
    (price,) = model.losses
    expected = 0.5 * (mean**2 + np.exp(-4) + 4 - 1).sum(-1).mean()
    assert float(price) == pytest.approx(0.1 * expected, rel=1e-4)
    folded = folding.fold(model)
    assert [type(part).__name__ for part in folded.layers] == ["InputLayer", "Dense"]
    np.testing.assert_allclose(np.asarray(folded(x)), mean, atol=1e-4)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(keras.models.load_model(tmp_path / "model.keras")(x)), np.asarray(model(x)))


@pytest.mark.slow
def test_what_the_bottleneck_lets_through_falls_as_its_weight_rises():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4)).astype(np.float32)
    y = (x[:, :1] > 0).astype(np.float32)
    told = []
    for weight in (1e-4, 1e-2, 1e-1, 1.0):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,))
        layer = noise.GaussianBottleneck(2, weight, seed=1)
        model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(layer(inputs)))
        model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy", jit_compile=False)
        model.fit(x, y, epochs=40, batch_size=50, verbose=0)
        model(x, training=True)
        told.append(float(sum(model.losses)) / weight)
    assert told == sorted(told, reverse=True)
    assert told[0] > 1.0
    assert told[-1] < 0.05
