"""Attention, positions, pooling and halting against their formulas in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from automl.layers import attention

RNG = np.random.default_rng(0)
BATCH, HEADS, STEPS, WIDTH = 2, 2, 6, 4
Q, K, V = (RNG.normal(size=(BATCH, HEADS, STEPS, WIDTH)).astype(np.float32) for _ in range(3))
THERE = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.float32)[..., None]


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def hidden(scores, there=THERE):
    """−∞ at keys that aren't there."""
    return np.where(there[:, None, None, :, 0] > 0, scores, -np.inf)


def test_weights_equal_the_formula_and_ignore_padding():
    """Vaswani et al. (2017), equation 1."""
    expected = softmax(hidden(np.einsum("bhqd,bhkd->bhqk", Q, K) / np.sqrt(WIDTH)))
    found = np.asarray(attention.AttentionWeights()([Q, K, THERE]))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(
        attention.Gathered()([found, V]), np.einsum("bhqk,bhkd->bhqd", expected, V), atol=1e-5
    )


def test_additive_weights_equal_the_formula():
    """Bahdanau et al. (2015), appendix A.1.2, with projected queries and keys."""
    layer = attention.AdditiveAttentionWeights(seed=3)
    found = np.asarray(layer([Q, K, THERE]))
    v = layer.direction.numpy()[:, 0]
    scores = np.einsum("hd,bhqkd->bhqk", v, np.tanh(Q[:, :, :, None] + K[:, :, None]))
    np.testing.assert_allclose(found, softmax(hidden(scores)), atol=1e-6)


@pytest.mark.parametrize(("steps", "window", "stride"), [(6, 2, 3), (7, 2, 2), (16, 4, 4), (5, 8, 8), (9, 1, 4)])
@pytest.mark.parametrize("masked", [False, True])
def test_sparse_attention_equals_dense_attention_under_its_pattern(steps, window, stride, masked):
    q, k, v = (RNG.normal(size=(2, 3, steps, 4)).astype(np.float32) for _ in range(3))
    there = np.ones((2, steps, 1), np.float32)
    there[0, steps // 2 :] = 0 if masked else 1
    place = np.arange(steps)
    near = np.abs(place[:, None] // window - place // window) <= 1
    seen = near | (place % stride == 0)
    scores = np.where(seen, np.einsum("bhqd,bhkd->bhqk", q, k) / 2, -np.inf)
    expected = np.einsum("bhqk,bhkd->bhqd", softmax(hidden(scores, there)), v)
    weights = attention.SparseAttentionWeights(window, stride)([q, k, there] if masked else [q, k])
    found = np.asarray(attention.SparseGathered(window, stride)([weights, v]))
    rows = there[:, None, :, :] > 0
    # A query that isn't there may see no key at all; nobody reads it.
    np.testing.assert_allclose(np.where(rows, found, 0), np.where(rows, expected, 0), atol=1e-5)


def test_the_cost_of_sparse_attention_grows_as_steps_times_their_root():
    def scores(steps, window=16):
        stride = max(window, int(np.ceil(np.sqrt(steps))))
        shape = attention.SparseAttentionWeights(window, stride).compute_output_shape([(1, 1, steps, 4)])
        return int(np.prod(shape[1:]))

    counts = {n: scores(n) for n in (64, 256, 1024, 4096, 16384)}
    for n, count in counts.items():
        assert count <= n * (3 * 16 + np.sqrt(n) + 1)
    assert counts[16384] < 16384**2 / 80
    # Four times the steps: at most eight times the scores, where all pairs would be sixteen times as many.
    assert all(counts[4 * n] / counts[n] <= 8.1 for n in (64, 256, 1024, 4096))


# --- positions ----------------------------------------------------------------------------------


def test_rotated_products_depend_on_the_distance_alone():
    """Su et al. (2021), equation 16: equal queries and keys at all places, so that only places differ."""
    q, k = (np.broadcast_to(RNG.normal(size=(1, 1, 1, 8)), (1, 1, 12, 8)).astype(np.float32) for _ in range(2))
    layer = attention.RotaryPositions()
    products = np.einsum("bhqd,bhkd->qk", np.asarray(layer(q)), np.asarray(layer(k)))
    for distance in range(-11, 12):
        np.testing.assert_allclose(np.diagonal(products, distance), np.diagonal(products, distance)[0], atol=1e-4)
    assert np.std([np.diagonal(products, d)[0] for d in range(12)]) > 0.1
    np.testing.assert_allclose(np.linalg.norm(layer(q), axis=-1), np.linalg.norm(q, axis=-1), rtol=1e-5)


def test_sinusoids_equal_the_formula_and_shift_by_a_rotation():
    """Vaswani et al. (2017), section 3.5: the code of place p + k is one linear map of that of p, whatever p is."""
    steps, width = 20, 8
    layer = attention.SinusoidalPositions(initial=1.0)
    code = np.asarray(layer(np.zeros((1, steps, width), np.float32)))[0]
    for p in range(steps):
        for i in range(width // 2):
            angle = p / 10_000 ** (2 * i / width)
            np.testing.assert_allclose(code[p, [i, i + width // 2]], [np.sin(angle), np.cos(angle)], atol=1e-5)
    shift, *_ = np.linalg.lstsq(code[:-3], code[3:], rcond=None)
    np.testing.assert_allclose(code[:-3] @ shift, code[3:], atol=1e-4)


def test_learned_positions_are_a_vector_for_each_place():
    layer = attention.LearnedPositions(seed=1)
    x = RNG.normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(layer(x)) - x, np.broadcast_to(layer.table.numpy(), x.shape), atol=1e-6)
    assert layer.table.shape == (1, 5, 3)
    with pytest.raises(ValueError, match="even"):
        attention.SinusoidalPositions()(x)


# --- pooling and halting --------------------------------------------------------------------------


def test_step_weights_sum_to_one_and_ignore_padding():
    scores = RNG.normal(size=(BATCH, STEPS, 1)).astype(np.float32)
    weights = np.asarray(attention.StepWeights()([scores, THERE]))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert weights[THERE == 0].max() < 1e-9
    np.testing.assert_allclose(weights[0, :4, 0], softmax(scores[0, :4, 0]), atol=1e-6)
    x = RNG.normal(size=(BATCH, STEPS, 3)).astype(np.float32)
    np.testing.assert_allclose(
        attention.WeightedSteps()([x, weights]), np.einsum("bs,bsf->bf", weights[..., 0], x), atol=1e-6
    )


def test_halting_follows_graves_by_hand():
    """Graves (2016), equations 5 to 7 and 10 with ε = 0.1: a token that stops at once, one at the second pass, one never."""
    p = np.array([[[0.95, 0.3, 0.3], [0.4, 0.6, 0.9], [0.1, 0.2, 0.3]]], np.float32)
    weights, ponder = attention.HaltingWeights(threshold=0.1).weigh(keras.ops.convert_to_tensor(p))
    np.testing.assert_allclose(weights[0], [[1, 0, 0], [0.4, 0.6, 0], [0.1, 0.2, 0.7]], atol=1e-6)
    np.testing.assert_allclose(ponder[0, :, 0], [1 + 1, 2 + 0.6, 3 + 0.7], atol=1e-6)


def test_the_cost_of_pondering_joins_the_loss_for_tokens_that_are_there():
    p = np.full((1, 4, 3), 0.5, np.float32)
    p[0, 2:] = 0.01
    there = np.array([1, 1, 0, 0], np.float32)[None, :, None]
    layer = attention.HaltingWeights(cost=0.1, threshold=0.01)
    layer([p, there])
    assert len(layer.losses) == 1
    assert float(layer.losses[0]) == pytest.approx(0.1 * (2 + 0.5))


def test_states_are_weighed_and_summed():
    weights = RNG.random((2, 3, 2)).astype(np.float32)
    a, b = RNG.normal(size=(2, 2, 3, 5)).astype(np.float32)
    found = attention.WeightedStates()([weights, a, b])
    np.testing.assert_allclose(found, weights[..., :1] * a + weights[..., 1:] * b, atol=1e-6)
