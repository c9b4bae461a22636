"""The parts of replaced-token detection, by hand."""

from __future__ import annotations

import keras
import numpy as np

from automl.layers import replaced_tokens as parts

TOKENS = np.array([[5, 6, 7, 0], [8, 3, 0, 0], [0, 0, 0, 0]], np.int32)
PLACES = np.array([[2, 0], [1, -1], [-1, -1]], np.int32)


def test_hidden_tokens_become_unknown():
    found = np.asarray(parts.HiddenTokens(1)([TOKENS, PLACES]))
    assert found.tolist() == [[1, 6, 1, 0], [8, 1, 0, 0], [0, 0, 0, 0]]


def test_states_are_taken_at_their_places():
    x = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    found = np.asarray(parts.AtPlaces()([x, PLACES]))
    np.testing.assert_array_equal(found[0], x[0, [2, 0]])
    np.testing.assert_array_equal(found[1], [x[1, 1], [0, 0]])
    np.testing.assert_array_equal(found[2], np.zeros((2, 2)))


def test_guesses_are_products_with_the_embedding_of_the_frequent_words():
    embedding = keras.layers.Embedding(10, 4)
    embedding(TOKENS)
    layer = parts.TiedWords(embedding, 9)
    h = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    table = embedding.get_weights()[0]
    layer(h)
    layer.bias.assign(np.arange(9))
    np.testing.assert_allclose(np.asarray(layer(h)), h @ table[:9].T + np.arange(9), atol=1e-5)


def test_replaced_tokens_are_drawn_from_the_guesses_and_right_ones_count_as_the_texts_own():
    sure = np.full((3, 2, 9), -50.0, np.float32)
    sure[0, 0, 4] = sure[0, 1, 5] = sure[1, 0, 8] = 50.0  # the second is what stands there
    replaced, wrong = (np.asarray(t) for t in parts.ReplacedTokens(seed=1)([TOKENS, PLACES, sure]))
    assert replaced.tolist() == [[5, 6, 4, 0], [8, 8, 0, 0], [0, 0, 0, 0]]
    assert wrong[..., 0].tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_draws_follow_the_probabilities():
    p = np.array([0.0, 0.0, 0.0, 0.5, 0.3, 0.2])
    logits = np.broadcast_to(np.log(np.maximum(p, 1e-30)), (4000, 1, 6)).astype(np.float32)
    tokens, places = np.full((4000, 3), 9, np.int32), np.ones((4000, 1), np.int32)
    replaced, _ = parts.ReplacedTokens(seed=3)([tokens, places, logits])
    share = np.bincount(np.asarray(replaced)[:, 1], minlength=6) / 4000
    np.testing.assert_allclose(share, p, atol=0.03)


def test_the_loss_equals_the_papers_formula():
    rng = np.random.default_rng(0)
    words, found = rng.normal(size=(3, 2, 9)).astype(np.float32), rng.normal(size=(3, 4, 1)).astype(np.float32)
    there = (TOKENS > 0).astype(np.float32)[..., None]
    wrong = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.float32)[..., None]
    loss = np.asarray(parts.DetectionLoss(50.0)([TOKENS, PLACES, words, there, wrong, found]))[:, 0]

    log_p = words - np.log(np.exp(words).sum(-1, keepdims=True))
    generator = [-(log_p[0, 0, 7] + log_p[0, 1, 5]) / 2, -log_p[1, 0, 3], 0.0]
    told = 1 / (1 + np.exp(-found[..., 0]))
    each = -(wrong[..., 0] * np.log(told) + (1 - wrong[..., 0]) * np.log(1 - told))
    discriminator = [each[0, :3].mean(), each[1, :2].mean(), 0.0]
    np.testing.assert_allclose(loss, np.add(generator, 50 * np.array(discriminator)), rtol=1e-5)
