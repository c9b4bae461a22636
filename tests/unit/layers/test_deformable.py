"""Sampling at learned places: without offsets a plain convolution, with them what SciPy interpolates."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from automl.layers import deformable

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("h", "w"), [(8, 8), (7, 10), (2, 3)])
@pytest.mark.parametrize(("kernel", "strides"), [(3, 1), (3, 2), (5, 1), (5, 2), (2, 2)])
def test_without_offsets_it_is_the_plain_convolution(h, w, kernel, strides):
    x = RNG.normal(size=(2, h, w, 3)).astype(np.float32)
    weights = RNG.normal(size=(kernel, kernel, 3, 4)).astype(np.float32)
    plain = keras.layers.Conv2D(4, kernel, strides=strides, padding="same", use_bias=False)
    plain.build(x.shape)
    plain.set_weights([weights])
    expected = np.asarray(plain(x))
    offsets = np.zeros((*expected.shape[:3], 2 * kernel**2), np.float32)
    sampled = np.asarray(deformable.DeformableSampling(kernel, strides)([x, offsets]))
    np.testing.assert_allclose(sampled @ weights.reshape(-1, 4), expected, atol=1e-4)


def test_with_offsets_it_samples_between_the_pixels():
    x = RNG.normal(size=(1, 9, 8, 2)).astype(np.float32)
    offsets = RNG.uniform(-3, 3, (1, 9, 8, 18)).astype(np.float32)
    found = np.asarray(deformable.DeformableSampling(3)([x, offsets])).reshape(9, 8, 9, 2)
    padded = np.pad(x[0], ((5, 5), (5, 5), (0, 0)))
    for i, j, tap in [(0, 0, 0), (4, 4, 4), (8, 7, 8), (2, 5, 3), (6, 1, 7), (0, 7, 2)]:
        down, right = offsets[0, i, j, 2 * tap], offsets[0, i, j, 2 * tap + 1]
        place = [[5 + i + tap // 3 - 1 + down], [5 + j + tap % 3 - 1 + right]]
        for channel in range(2):
            expected = ndimage.map_coordinates(padded[..., channel].astype(float), place, order=1)
            assert found[i, j, tap, channel] == pytest.approx(expected[0], abs=1e-4)


def test_far_outside_is_nothing():
    x = np.ones((1, 5, 5, 1), np.float32)
    for far in (-1e6, 1e6):
        assert (np.asarray(deformable.DeformableSampling(3)([x, np.full((1, 5, 5, 18), far, np.float32)])) == 0).all()


def test_gradients_equal_differences():
    x, offsets = RNG.normal(size=(1, 4, 5, 2)), RNG.uniform(-0.9, 0.9, (1, 4, 5, 18))
    offsets = np.where(np.abs(offsets) < 0.05, 0.1, offsets)  # away from the bends at whole pixels
    layer = deformable.DeformableSampling(3, dtype="float64")
    mixed = tf.constant(RNG.normal(size=(1, 4, 5, 18)))
    values = [tf.constant(x), tf.constant(offsets)]
    with tf.GradientTape() as tape:
        tape.watch(values)
        y = tf.reduce_sum(layer(values) * mixed)
    for which, gradient in enumerate(tape.gradient(y, values)):
        gradient = tf.convert_to_tensor(gradient).numpy()
        flat = np.array(values[which]).ravel()
        for place in range(0, flat.size, max(1, flat.size // 25)):
            ends = []
            for step in (1e-2, -1e-2):
                moved = flat.copy()
                moved[place] += step
                given = list(values)
                given[which] = tf.constant(moved.reshape(values[which].shape))
                ends.append(float(tf.reduce_sum(layer(given) * mixed)))
            # Bilinear, so a difference is exact between whole pixels; places are computed in float32.
            assert gradient.ravel()[place] == pytest.approx((ends[0] - ends[1]) / 2e-2, abs=1e-3)
