"""Masks and masked means against their formulas."""

import numpy as np

from automl.layers import sequences


def test_a_mask_is_one_where_a_token_stands():
    mask = sequences.PaddingMask()(np.array([[7, 1, 0], [2, 0, 0]], np.int32))
    np.testing.assert_array_equal(np.asarray(mask)[..., 0], [[1, 1, 0], [1, 0, 0]])


def test_a_masked_mean_counts_only_the_steps_that_are_there():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 5, 2)).astype(np.float32)
    lengths = [5, 2, 0]
    mask = (np.arange(5)[None, :] < np.array(lengths)[:, None]).astype(np.float32)[..., None]
    found = np.asarray(sequences.MaskedMean()([x, mask]))
    for row, length in enumerate(lengths):
        expected = x[row, :length].mean(axis=0) if length else np.zeros(2)
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-6)


def test_of_many_steps_a_few_count_as_a_level_of_eight_bits():
    x, mask = np.ones((2, 1020, 3), np.float32), np.zeros((2, 1020, 1), np.float32)
    mask[0, :2], mask[1, :100] = 1, 1
    np.testing.assert_allclose(np.asarray(sequences.MaskedMean()([x, mask])), [[2 / 4] * 3, [1.0] * 3], rtol=1e-6)


def test_a_slice_takes_channels():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(np.asarray(sequences.ChannelSlice(1, 3)(x)), x[..., 1:3])


def test_taps_and_weights_are_a_dilated_convolution():
    """Against the sum over taps, written out."""
    rng = np.random.default_rng(2)
    x, kernel = rng.normal(size=(2, 1, 9, 3)).astype(np.float32), rng.normal(size=(5, 3, 4)).astype(np.float32)
    taps = np.asarray(sequences.Taps(5, 2)(x))
    expected = np.zeros((2, 9, 4))
    for step in range(9):
        for tap in range(5):
            place = step + (tap - 2) * 2
            if 0 <= place < 9:
                expected[:, step] += x[:, 0, place] @ kernel[tap]
    np.testing.assert_allclose(taps[:, 0] @ kernel.reshape(15, 4), expected, atol=1e-5)
    centred = np.asarray(sequences.Taps(5, 2, centred=True)(x)).reshape(2, 9, 5, 3)
    taps = taps.reshape(2, 9, 5, 3)
    np.testing.assert_allclose(centred, taps - taps.mean(axis=2, keepdims=True), atol=1e-6)


def test_codes_from_the_limit_on_are_unknown():
    found = np.asarray(sequences.CodeLimit(4, 1)(np.array([[3, 4, 0], [9, 2, 1]], np.int32)))
    np.testing.assert_array_equal(found, [[3, 1, 0], [1, 2, 1]])
    assert found.dtype == np.int32


def test_pairs_are_hashed_by_their_formula():
    tokens = np.array([[5, 7, 64_999, 0], [1, 0, 0, 0]], np.int32)
    found = np.asarray(sequences.TokenPairs(101)(tokens))
    np.testing.assert_array_equal(found, [[1 + (5 * 31_337 + 7) % 101, 1 + (7 * 31_337 + 64_999) % 101, 0], [0, 0, 0]])
    assert 64_999 * 31_337 + 64_999 < 2**31
