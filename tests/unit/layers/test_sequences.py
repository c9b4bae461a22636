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


def test_a_slice_takes_channels():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(np.asarray(sequences.ChannelSlice(1, 3)(x)), x[..., 1:3])
