"""Transformations of gradients between backpropagation and the optimizer, under every Keras backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

Transformation = Callable[[Any, Any], Any]
"""(gradient, variable) → gradient of the same shape."""


def transformed(optimizer: Any, transformation: Transformation) -> Any:
    """The same optimizer object, which from now on transforms each gradient that isn't None before it applies it.

    It stays an instance of its class with the same variables, so that checkpoints and schedules see nothing of it;
    `apply` is the one way through which Keras's training loops, stateful and stateless, hand gradients over.
    """
    plain = optimizer.apply

    def apply(grads: Any, trainable_variables: Any = None) -> None:
        variables = optimizer._trainable_variables if trainable_variables is None else trainable_variables
        changed = [g if g is None else transformation(g, v) for g, v in zip(grads, variables)]
        plain(changed, trainable_variables)

    optimizer.apply = apply
    return optimizer


def centre(gradient: Any, variable: Any) -> Any:
    """g − its mean over all axes but the last, for kernels; vectors unchanged."""
    rank = len(variable.shape)
    return gradient if rank < 2 else gradient - ops.mean(gradient, axis=tuple(range(rank - 1)), keepdims=True)


def clip_to_weights(gradient: Any, variable: Any, ratio: float, least: float = 1e-3) -> Any:
    """g shortened to `ratio` of the weights' norm, unit by unit (the last axis) for kernels, as a whole for vectors."""
    rank = len(variable.shape)
    axes = tuple(range(rank - 1)) if rank > 1 else tuple(range(rank))
    weights = ops.convert_to_tensor(variable)
    weight_norm = ops.sqrt(ops.sum(ops.square(weights), axis=axes, keepdims=True))
    gradient_norm = ops.sqrt(ops.sum(ops.square(gradient), axis=axes, keepdims=True))
    allowed = ratio * ops.maximum(weight_norm, least)
    return gradient * ops.minimum(1.0, allowed / ops.maximum(gradient_norm, 1e-12))
