"""Recurrences against their formulas written out in NumPy, what they remember, and what padding may not reach."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.layers import recurrent

BATCH, STEPS, FEATURES, UNITS = 3, 7, 4, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(BATCH, STEPS, FEATURES)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shaken(layer, x=X):
    """The layer's outputs and weights, after each weight was moved from where it starts."""
    layer(x)
    layer.set_weights([w + 0.3 * RNG.normal(size=w.shape) for w in layer.get_weights()])
    return np.asarray(layer(x)), {w.path.split("/")[-1]: w.numpy() for w in layer.weights}


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_quasi_recurrent_layer_equals_its_recurrence_step_by_step(window):
    """Bradbury et al. (2017), equations 1 to 5."""
    found, weights = shaken(recurrent.QuasiRecurrent(UNITS, window))
    for b in range(BATCH):
        c, past = np.zeros(UNITS), [np.zeros(FEATURES)] * (window - 1) + list(X[b])
        for t in range(STEPS):
            gates = sum(past[t + k] @ weights["kernel"][k] for k in range(window)) + weights["bias"]
            z, f, o = np.tanh(gates[:UNITS]), sigmoid(gates[UNITS : 2 * UNITS]), sigmoid(gates[2 * UNITS :])
            c = f * c + (1 - f) * z
            np.testing.assert_allclose(found[b, t], o * c, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 13])
def test_a_linear_recurrence_by_doubling_equals_the_loop(steps):
    keep, new = RNG.random((2, steps, 3)), RNG.normal(size=(2, steps, 3))
    c = np.zeros((2, 3))
    found = np.asarray(recurrent.linear_recurrence(keep, new))
    for t in range(steps):
        c = keep[:, t] * c + new[:, t]
        np.testing.assert_allclose(found[:, t], c, rtol=1e-5)


def test_independent_units_equal_the_formula_and_stay_within_bounds():
    """Li et al. (2018), equation 2, and its bound on the recurrent weight."""
    layer = keras.layers.RNN(recurrent.IndependentCell(UNITS, STEPS), return_sequences=True)
    layer(X)
    kernel, u, bias = layer.get_weights()
    assert u.min() >= 0
    assert u.max() <= 1
    u = np.array([5.0, -5.0, 0.5, -0.5, 1.0], np.float32)
    layer.set_weights([kernel, u, bias + 0.1])
    bounded, h = np.clip(u, -(2 ** (1 / STEPS)), 2 ** (1 / STEPS)), np.zeros((BATCH, UNITS))
    found = np.asarray(layer(X))
    for t in range(STEPS):
        h = np.maximum(X[:, t] @ kernel + bounded * h + bias + 0.1, 0)
        np.testing.assert_allclose(found[:, t], h, rtol=1e-4, atol=1e-5)


def test_two_levels_equal_the_formula():
    """Chung et al. (2017), equations 2 to 9 and 11 with two levels, the upper one without a detector."""
    u = UNITS
    layer = keras.layers.RNN(recurrent.HierarchicalCell(u), return_sequences=True)
    found, w = shaken(layer)
    boundaries = []
    for b in range(BATCH):
        h1, c1, h2, c2, z = np.zeros(u), np.zeros(u), np.zeros(u), np.zeros(u), 0
        for t in range(STEPS):
            s = w["bias_1"] + X[b, t] @ w["bottom_up_1"] + h1 @ w["recurrent_1"] + z * (h2 @ w["top_down"])
            f, i, o, g = sigmoid(s[:u]), sigmoid(s[u : 2 * u]), sigmoid(s[2 * u : 3 * u]), np.tanh(s[3 * u : 4 * u])
            c1 = i * g if z else f * c1 + i * g
            h1, z = o * np.tanh(c1), int(np.clip((s[4 * u] + 1) / 2, 0, 1) > 0.5)
            if z:
                s = w["bias_2"] + h1 @ w["bottom_up_2"] + h2 @ w["recurrent_2"]
                f, i, o, g = sigmoid(s[:u]), sigmoid(s[u : 2 * u]), sigmoid(s[2 * u : 3 * u]), np.tanh(s[3 * u :])
                c2 = f * c2 + i * g
                h2 = o * np.tanh(c2)
            e = sigmoid(np.concatenate([h1, h2]) @ w["levels"])
            expected = np.maximum(e[0] * (h1 @ w["exit_1"]) + e[1] * (h2 @ w["exit_2"]), 0)
            np.testing.assert_allclose(found[b, t], expected, atol=1e-5)
            boundaries.append(z)
    assert 0 < np.mean(boundaries) < 1, "both copies and updates were seen"


def test_a_boundary_is_binary_and_has_the_gradient_of_the_clipped_line():
    import tensorflow as tf

    s = tf.constant([-3.0, -0.4, 0.0, 0.4, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(s)
        z = recurrent.boundary(s)
    np.testing.assert_array_equal(z, [0, 0, 0, 1, 1])
    np.testing.assert_allclose(tape.gradient(z, s), [0, 0.5, 0.5, 0.5, 0])


# --- padding ------------------------------------------------------------------------------------

LAYERS = {
    "lstm": lambda: keras.layers.LSTM(UNITS, return_sequences=True),
    "gru": lambda: keras.layers.GRU(UNITS, return_sequences=True),
    "rnn": lambda: keras.layers.SimpleRNN(UNITS, return_sequences=True),
    "qrnn": lambda: recurrent.QuasiRecurrent(UNITS, 3),
    "indrnn": lambda: keras.layers.RNN(recurrent.IndependentCell(UNITS, STEPS), return_sequences=True),
    "hm-lstm": lambda: keras.layers.RNN(recurrent.HierarchicalCell(UNITS), return_sequences=True),
}


@pytest.mark.parametrize("cell", LAYERS)
def test_reading_backwards_begins_at_the_last_step_that_is_there(cell):
    """Each row alone, without its padding and reversed by hand, is the reference."""
    layer = recurrent.Recurrence(LAYERS[cell](), LAYERS[cell]())
    lengths = [STEPS, 4, 1]
    mask = (np.arange(STEPS) < np.array(lengths)[:, None]).astype(np.float32)[..., None]
    found = np.asarray(layer([X, mask]))
    ends = np.asarray(recurrent.EndStates(backward=True)([found, mask]))
    for b, length in enumerate(lengths):
        forwards = np.asarray(layer.layer(X[b : b + 1, :length]))[0]
        backwards = np.asarray(layer.backward(X[b : b + 1, length - 1 :: -1][:, :length]))[0][::-1]
        np.testing.assert_allclose(found[b, :length], np.concatenate([forwards, backwards], axis=1), atol=1e-5)
        np.testing.assert_allclose(ends[b], np.concatenate([forwards[-1], backwards[0]]), atol=1e-5)


def test_rows_without_any_step_end_in_zeros():
    layer = recurrent.Recurrence(keras.layers.GRU(2, return_sequences=True), keras.layers.GRU(2, return_sequences=True))
    mask = np.zeros((BATCH, STEPS, 1), np.float32)
    states = np.asarray(layer([X, mask]))
    assert np.isfinite(states).all()
    np.testing.assert_array_equal(np.asarray(recurrent.EndStates(True)([states, mask])), 0)


def test_layers_that_return_no_sequences_are_refused():
    with pytest.raises(ValueError, match="return sequences"):
        recurrent.Recurrence(keras.layers.LSTM(3))


# --- memory: a token is copied over 50 steps ------------------------------------------------------

TOKENS, GAP = 4, 50
LARGE = 12.0
"""An argument at which a sigmoid is open or shut but for 1e-5."""


def _lstm():
    """Gates [i, f, c, o]: the input gate opens for tokens alone, the forget gate keeps."""
    kernel, recurrent_ = np.zeros((TOKENS + 1, 4 * TOKENS)), np.zeros((TOKENS, 4 * TOKENS))
    kernel[:TOKENS, :TOKENS] = 2 * LARGE
    kernel[:TOKENS, 2 * TOKENS : 3 * TOKENS] = 3 * np.eye(TOKENS)
    bias = np.repeat([-LARGE, LARGE, 0.0, LARGE], TOKENS)
    return keras.layers.LSTM(TOKENS, return_sequences=True), [kernel, recurrent_, bias]


def _gru():
    """Gates [z, r, h]: z keeps the state but where a token comes."""
    kernel, recurrent_ = np.zeros((TOKENS + 1, 3 * TOKENS)), np.zeros((TOKENS, 3 * TOKENS))
    kernel[:TOKENS, :TOKENS] = -2 * LARGE
    kernel[:TOKENS, 2 * TOKENS :] = 3 * np.eye(TOKENS)
    bias = np.stack([np.repeat([LARGE, 0.0, 0.0], TOKENS), np.zeros(3 * TOKENS)])
    return keras.layers.GRU(TOKENS, return_sequences=True), [kernel, recurrent_, bias]


def _rnn():
    """A recurrent weight of 2 keeps each unit at one of the two stable points of h = tanh(2 h)."""
    kernel = np.zeros((TOKENS + 1, TOKENS))
    kernel[:TOKENS] = 10 * np.eye(TOKENS) - 5
    return keras.layers.SimpleRNN(TOKENS, return_sequences=True), [kernel, 2 * np.eye(TOKENS), np.zeros(TOKENS)]


def _qrnn():
    """f keeps but where a token comes, o is open."""
    kernel = np.zeros((1, TOKENS + 1, 3 * TOKENS))
    kernel[0, :TOKENS, :TOKENS] = 3 * np.eye(TOKENS)
    kernel[0, :TOKENS, TOKENS : 2 * TOKENS] = -2 * LARGE
    return recurrent.QuasiRecurrent(TOKENS, 1), [kernel, np.repeat([0.0, LARGE, LARGE], TOKENS)]


def _indrnn():
    """u = 1 keeps what stands there."""
    cell = recurrent.IndependentCell(TOKENS, GAP + 1)
    kernel = np.concatenate([np.eye(TOKENS), np.zeros((1, TOKENS))])
    return keras.layers.RNN(cell, return_sequences=True), [kernel, np.ones(TOKENS), np.zeros(TOKENS)]


def _hm_lstm():
    """A boundary at the token takes it to the upper level, which copies itself while no other boundary comes."""
    u, cell = TOKENS, recurrent.HierarchicalCell(TOKENS)
    bottom_up_1 = np.zeros((u + 1, 4 * u + 1))
    bottom_up_1[:u, u : 2 * u] = 2 * LARGE
    bottom_up_1[:u, 3 * u : 4 * u] = 3 * np.eye(u)
    bottom_up_1[:u, 4 * u] = 2.0
    bias_1 = np.concatenate([np.repeat([-LARGE, -LARGE, LARGE, 0.0], u), [-1.0]])
    bottom_up_2 = np.concatenate([np.zeros((u, 3 * u)), 5 * np.eye(u)], axis=1)
    bias_2 = np.repeat([LARGE, LARGE, LARGE, 0.0], u)
    zeros = [np.zeros((u, 4 * u + 1))] * 2
    weights = [
        bottom_up_1, *zeros, bias_1, bottom_up_2, np.zeros((u, 4 * u)), bias_2, np.zeros((2 * u, 2)),
        np.zeros((u, u)), np.eye(u),
    ]
    return keras.layers.RNN(cell, return_sequences=True), weights


@pytest.mark.parametrize("make", [_lstm, _gru, _rnn, _qrnn, _indrnn, _hm_lstm])
def test_a_token_is_copied_over_fifty_steps(make):
    """Weights by hand: one of four tokens, 50 blanks, and the last state still says which one it was."""
    layer, weights = make()
    x = np.zeros((TOKENS, GAP + 1, TOKENS + 1), np.float32)
    x[np.arange(TOKENS), 0, np.arange(TOKENS)] = 1
    x[:, 1:, TOKENS] = 1
    layer(x)
    layer.set_weights([w.astype(np.float32) for w in weights])
    last = np.asarray(layer(x))[:, -1]
    np.testing.assert_array_equal(last.argmax(axis=1), np.arange(TOKENS))
    others = np.where(np.eye(TOKENS, dtype=bool), -np.inf, last).max(axis=1)
    assert (last.max(axis=1) - others > 0.3).all(), last


# --- stock cells --------------------------------------------------------------------------------


def test_keras_cells_follow_the_formulas_that_the_essays_state():
    u = UNITS
    found, w = shaken(keras.layers.LSTM(u, return_sequences=True))
    h, c = np.zeros((BATCH, u)), np.zeros((BATCH, u))
    for t in range(STEPS):
        i, f, g, o = np.split(X[:, t] @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(found[:, t], h, atol=1e-5)
    found, w = shaken(keras.layers.GRU(u, return_sequences=True))
    h = np.zeros((BATCH, u))
    for t in range(STEPS):
        xz, xr, xn = np.split(X[:, t] @ w["kernel"] + w["bias"][0], 3, axis=1)
        hz, hr, hn = np.split(h @ w["recurrent_kernel"] + w["bias"][1], 3, axis=1)
        z = sigmoid(xz + hz)
        h = z * h + (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn)
        np.testing.assert_allclose(found[:, t], h, atol=1e-5)
    found, w = shaken(keras.layers.SimpleRNN(u, return_sequences=True))
    h = np.zeros((BATCH, u))
    for t in range(STEPS):
        h = np.tanh(X[:, t] @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"])
        np.testing.assert_allclose(found[:, t], h, atol=1e-5)
