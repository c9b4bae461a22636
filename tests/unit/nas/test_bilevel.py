"""Gradients of bilevel problems against formulas in NumPy, and the dominant eigenvalue against an exact one."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from automl.nas import bilevel

RNG = np.random.default_rng(4)
A, B, C = (RNG.normal(size=(3, 3)) for _ in range(3))
W, ALPHA, TARGET = RNG.normal(size=3), RNG.normal(size=3), RNG.normal(size=3)
RATE = 0.1


def problem():
    """L_train = ½‖A w + B α‖², L_valid = ½‖w + C α − t‖²."""
    w, alpha = (tf.Variable(v, dtype=tf.float64) for v in (W, ALPHA))

    def product(matrix, vector):
        return tf.linalg.matvec(tf.constant(matrix), vector)

    def train():
        return 0.5 * tf.reduce_sum((product(A, w) + product(B, alpha)) ** 2)

    def valid():
        return 0.5 * tf.reduce_sum((w + product(C, alpha) - TARGET) ** 2)

    return w, alpha, train, valid


def test_the_first_order_takes_the_weights_as_they_are():
    _, alpha, _, valid = problem()
    loss, [gradient] = bilevel.first_order(valid, [alpha])
    residual = W + C @ ALPHA - TARGET
    assert float(loss) == pytest.approx(0.5 * residual @ residual)
    np.testing.assert_allclose(gradient, C.T @ residual)


def test_the_second_order_is_the_gradient_through_one_step_of_the_weights():
    """With w' = w − ξ Aᵀ(A w + B α): dL_valid(w', α)/dα = (C − ξ AᵀB)ᵀ (w' + C α − t), and the weights are put back."""
    w, alpha, train, valid = problem()
    _, [gradient] = bilevel.second_order(train, valid, [w], [alpha], tf.constant(RATE, tf.float64))
    moved = W - RATE * A.T @ (A @ W + B @ ALPHA)
    expected = (C - RATE * A.T @ B).T @ (moved + C @ ALPHA - TARGET)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)
    np.testing.assert_allclose(w.numpy(), W)
    _, [first] = bilevel.first_order(valid, [alpha])
    assert not np.allclose(gradient, first, rtol=0.01)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_dominant_eigenvalue_is_the_one_of_the_largest_magnitude(sign: int):
    values = np.array([sign * 5.0, 2.0, -1.0, 0.5])
    basis, _ = np.linalg.qr(RNG.normal(size=(4, 4)))
    hessian = basis @ np.diag(values) @ basis.T
    value, vector = bilevel.dominant_eigenvalue(
        lambda x: hessian @ x + 3.0, RNG.normal(size=4), RNG.normal(size=4), iterations=40, length=0.1
    )
    assert value == pytest.approx(sign * 5.0, rel=1e-6)
    assert abs(vector @ basis[:, 0]) == pytest.approx(1.0, rel=1e-6)


def test_a_flat_function_has_the_eigenvalue_nought():
    value, _ = bilevel.dominant_eigenvalue(lambda x: np.ones(2), np.zeros(2), np.ones(2), iterations=3, length=0.1)
    assert value == 0.0
