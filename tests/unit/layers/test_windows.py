"""Attention in windows against attention over all pairs that may see each other, in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from automl.layers import attention, windows

RNG = np.random.default_rng(0)
HEADS, WIDTH = 2, 3


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def in_windows(q, k, v, window, shift):
    """The layers one after the other, and the biases, which were moved from 0."""
    rows, columns = q.shape[1:3]
    split = windows.ToWindows(HEADS, window, shift)
    weigh = windows.WindowWeights(HEADS, window, shift, rows, columns)
    a, b, c = (split(x) for x in (q, k, v))
    weigh([a, b])
    table = RNG.normal(size=weigh.table.shape).astype(np.float32)
    weigh.set_weights([table])
    gathered = attention.Gathered()([weigh([a, b]), c])
    return np.asarray(windows.FromWindows(HEADS, window, shift, rows, columns)(gathered)), table


def over_all_pairs(q, k, v, table, window, seen):
    """Dense attention over the grid with the bias of each offset; `seen` [places, places] says who sees whom."""
    rows, columns = q.shape[1:3]
    y, x = np.divmod(np.arange(rows * columns), columns)
    near = lambda a: np.clip(a[:, None] - a, 1 - window, window - 1) + window - 1
    number = near(y) * (2 * window - 1) + near(x)
    out = np.zeros_like(v.reshape(len(v), -1, HEADS * WIDTH))
    for h in range(HEADS):
        part = slice(h * WIDTH, (h + 1) * WIDTH)
        qh, kh, vh = (t.reshape(len(t), -1, HEADS * WIDTH)[..., part] for t in (q, k, v))
        scores = np.einsum("bqd,bkd->bqk", qh, kh) / np.sqrt(WIDTH) + table[number, h]
        out[..., part] = softmax(np.where(seen, scores, -np.inf)) @ vh
    return out.reshape(v.shape)


@pytest.mark.parametrize("side", [2, 4])
def test_a_window_as_large_as_the_picture_is_full_attention(side):
    q, k, v = RNG.normal(size=(3, 2, side, side, HEADS * WIDTH)).astype(np.float32)
    found, table = in_windows(q, k, v, side, 0)
    np.testing.assert_allclose(found, over_all_pairs(q, k, v, table, side, np.ones((side**2, side**2), bool)), atol=1e-5)


@pytest.mark.parametrize(("rows", "columns", "window", "shift"), [
    (4, 4, 2, 0), (4, 4, 2, 1), (8, 4, 4, 2), (6, 9, 3, 1), (4, 4, 4, 2), (5, 10, 5, 4),
])
def test_windows_see_what_lies_in_the_same_shifted_window(rows, columns, window, shift):
    """Liu et al. (2021), figure 4: places see each other when the shifted lines don't run between them."""
    q, k, v = RNG.normal(size=(3, 2, rows, columns, HEADS * WIDTH)).astype(np.float32)
    found, table = in_windows(q, k, v, window, shift)
    y, x = np.divmod(np.arange(rows * columns), columns)
    row, column = (y - shift) // window, (x - shift) // window
    seen = (row[:, None] == row) & (column[:, None] == column)
    np.testing.assert_allclose(found, over_all_pairs(q, k, v, table, window, seen), atol=1e-5)


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_into_windows_and_back_is_where_it_was(shift):
    x = RNG.normal(size=(2, 6, 9, HEADS * WIDTH)).astype(np.float32)
    back = windows.FromWindows(HEADS, 3, shift, 6, 9)(windows.ToWindows(HEADS, 3, shift)(x))
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(windows.rolled(x, shift), np.roll(x, (-shift, -shift), axis=(1, 2)))


def test_shifts_beyond_the_window_are_refused():
    with pytest.raises(ValueError, match="shift < window"):
        windows.ToWindows(2, 4, 4)
