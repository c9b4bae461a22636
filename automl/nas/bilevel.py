"""Gradients of a bilevel problem: architectures α judged by the weights w that training leaves them with.

    first order     ∇_α L_valid(w, α): the weights are taken as they are
    second order    ∇_α L_valid(w − ξ ∇_w L_train(w, α), α): the weights are taken one step further

The second one holds ∇²_{α,w} L_train times ∇_{w'} L_valid, which is taken by central differences as in Liu et al. (DARTS,
arXiv:1806.09055): exact for losses that are quadratic, and never a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP = 0.01
"""Length of the move of the weights for the differences."""


def first_order(valid: Callable[[], Any], alphas: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The loss on rows for the architecture, and its gradient for TensorFlow variables `alphas`."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = valid()
    return loss, tape.gradient(loss, list(alphas))


def second_order(
    train: Callable[[], Any], valid: Callable[[], Any], weights: Sequence[Any], alphas: Sequence[Any], rate: Any
) -> tuple[Any, list[Any]]:
    """As `first_order`, at the weights after a step of plain descent by `rate` (ξ). The weights are as before when it is
    done. Five passes forward and back. `train` and `valid` read the variables when they are called."""
    import tensorflow as tf

    kept = [tf.identity(w) for w in weights]
    with tf.GradientTape() as tape:
        loss = train()
    for w, gradient in zip(weights, tape.gradient(loss, list(weights))):
        w.assign_sub(rate * gradient)
    with tf.GradientTape() as tape:
        judged = valid()
    direct, uphill = tape.gradient(judged, [list(alphas), list(weights)])
    epsilon = STEP / tf.maximum(tf.linalg.global_norm(uphill), 1e-12)

    def at(sign: float) -> list[Any]:
        for w, before, direction in zip(weights, kept, uphill):
            w.assign(before + sign * epsilon * direction)
        with tf.GradientTape() as tape:
            moved = train()
        found: list[Any] = tape.gradient(moved, list(alphas))
        return found

    above, below = at(1.0), at(-1.0)
    for w, before in zip(weights, kept):
        w.assign(before)
    return judged, [d - rate * (a - b) / (2 * epsilon) for d, a, b in zip(direct, above, below)]


def dominant_eigenvalue(
    gradient: Callable[[NDArray[np.float64]], NDArray[np.float64]], point: NDArray[np.float64], start: NDArray[np.float64],
    *, iterations: int, length: float,
) -> tuple[float, NDArray[np.float64]]:
    """The eigenvalue of the Hessian with the largest magnitude at a point, and its eigenvector, by power iteration.

    `gradient` is the function's, [n] → [n]; products with the Hessian are its central differences over ± `length` times a
    unit vector. `start` is where the iteration begins: the vector found the last time. A Hessian of nothing has 0.
    """
    vector, value = start / max(float(np.linalg.norm(start)), 1e-30), 0.0
    for _ in range(iterations):
        product = (gradient(point + length * vector) - gradient(point - length * vector)) / (2 * length)
        value, norm = float(vector @ product), float(np.linalg.norm(product))
        if norm < 1e-12:
            return 0.0, vector
        vector = product / norm
    return value, vector
