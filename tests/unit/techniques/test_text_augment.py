"""Text augmentation: shares of what is deleted, swapped and masked, and what stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from automl.techniques.data import text_augment

ROWS, STEPS, LENGTH = 400, 60, 50


@pytest.fixture
def texts() -> np.ndarray:
    """Texts of 50 different tokens, filled up to 60 steps."""
    tokens = np.zeros((ROWS, STEPS), np.int32)
    tokens[:, :LENGTH] = np.arange(2, LENGTH + 2)
    return tokens


def step(apply, texts, **params):
    grams = np.tile(np.arange(1, 41, dtype=np.int32), (ROWS, 1))
    inputs = {"tokens": texts, "ngrams": grams}
    y = np.ones((ROWS, 3), np.float32)
    quiet = {"dropout": 0.0, "swap": 0.0, "span": 0.0} | params
    before = texts.copy()
    changed, same = apply("text-augment", **quiet).batch_steps[-1].make()(inputs, y, np.random.default_rng(3))
    assert same is y
    np.testing.assert_array_equal(texts, before)
    assert changed["tokens"].shape == texts.shape
    assert changed["tokens"].dtype == np.int32
    return changed["tokens"], changed["ngrams"]


def test_dropout_deletes_its_share_and_keeps_the_order(apply, texts):
    tokens, grams = step(apply, texts, dropout=0.2)
    lengths = (tokens > 0).sum(axis=1)
    assert abs(lengths.mean() / LENGTH - 0.8) < 0.01
    assert abs((grams == 0).mean() - 0.2) < 0.01
    for row, length in zip(tokens, lengths):
        assert (row[length:] == 0).all()
        assert (np.diff(row[:length]) > 0).all()


def test_a_text_that_would_lose_everything_stays(texts):
    tokens = text_augment.dropped(texts, 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(tokens[:, :LENGTH], texts[:, :LENGTH])
    empty = text_augment.dropped(np.zeros((2, 5), np.int32), 0.5, np.random.default_rng(0))
    assert (empty == 0).all()


def test_swapping_exchanges_neighbours_inside_the_text(apply, texts):
    tokens, grams = step(apply, texts, swap=0.2)
    moved = tokens != texts
    # Pairs that would overlap are not drawn, which takes about a tenth of them away.
    assert 0.16 < moved[:, :LENGTH].mean() < 0.2
    np.testing.assert_array_equal(np.sort(tokens[:, :LENGTH], axis=1), texts[:, :LENGTH])
    assert (np.abs(tokens[:, :LENGTH] - texts[:, :LENGTH]) <= 1).all()
    assert (tokens[:, LENGTH:] == 0).all()
    assert grams.min() == 1


def test_one_span_of_its_share_is_masked(apply, texts):
    tokens, _ = step(apply, texts, span=0.3)
    hidden = tokens == text_augment.UNKNOWN
    assert (hidden.sum(axis=1) == 15).all()
    assert (np.abs(np.diff(hidden.astype(int), axis=1)).sum(axis=1) <= 2).all()
    assert not hidden[:, LENGTH:].any()
    assert hidden[:, :LENGTH].any(axis=0).all()
    np.testing.assert_array_equal(tokens[~hidden], texts[~hidden])
