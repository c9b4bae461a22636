"""Small networks in NumPy: layers that know their derivatives, and Adam.

A layer's `forward` keeps what `backward` needs; `backward` takes the derivative of a loss by the output [rows, outputs],
adds to `gradients`, and returns the derivative by the input. Arrays are float64 in tests and float32 in use: a layer
computes in the type of its weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Layer:
    """Without weights unless it sets some."""

    def __init__(self) -> None:
        self.weights: list[Array] = []
        self.gradients: list[Array] = []

    def hold(self, *weights: Array) -> None:
        self.weights = list(weights)
        self.gradients = [np.zeros_like(w) for w in weights]

    def forward(self, x: Array) -> Array:
        raise NotImplementedError

    def backward(self, d: Array) -> Array:
        raise NotImplementedError


class Dense(Layer):
    """y = x W + b; W from a normal distribution of variance gain² / inputs."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, gain: float = 1.0, dtype: Any = np.float32):
        super().__init__()
        scale = gain / math.sqrt(inputs)
        self.hold((scale * rng.standard_normal((inputs, outputs))).astype(dtype), np.zeros(outputs, dtype))
        self._x: Array = np.zeros(0)

    def forward(self, x: Array) -> Array:
        self._x = x
        return x @ self.weights[0] + self.weights[1]

    def backward(self, d: Array) -> Array:
        self.gradients[0] += self._x.T @ d
        self.gradients[1] += d.sum(axis=0)
        return d @ self.weights[0].T


class Noisy(Layer):
    """A dense layer whose weights are drawn anew by `draw`: W = M + S·ε with learned M and S, and factorised noise
    ε = f(p) f(q)ᵀ, f(x) = sign(x)√|x| (Fortunato et al., arXiv:1706.10295). Without noise (`still`) W = M."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, sigma: float = 0.5, dtype: Any = np.float32):
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.hold(
            rng.uniform(-bound, bound, (inputs, outputs)).astype(dtype), np.full((inputs, outputs), sigma * bound, dtype),
            rng.uniform(-bound, bound, outputs).astype(dtype), np.full(outputs, sigma * bound, dtype),
        )
        self._x: Array = np.zeros(0)
        self.still()

    def still(self) -> None:
        mean = self.weights[0]
        self._p, self._q = np.zeros(mean.shape[0], mean.dtype), np.zeros(mean.shape[1], mean.dtype)

    def draw(self, rng: np.random.Generator, louder: float = 1.0) -> None:
        """Noise for the calls to come, `louder` times as large as S says."""
        mean = self.weights[0]
        self._p, self._q = (_rooted(louder, rng.standard_normal(size=(n,)), mean.dtype) for n in mean.shape)

    def _matrix(self) -> Array:
        mean, deviation, _, _ = self.weights
        return mean + deviation * np.outer(self._p, self._q)

    def forward(self, x: Array) -> Array:
        self._x = x
        return x @ self._matrix() + self.weights[2] + self.weights[3] * self._q

    def backward(self, d: Array) -> Array:
        by_matrix, by_bias = self._x.T @ d, d.sum(axis=0)
        self.gradients[0] += by_matrix
        self.gradients[1] += by_matrix * np.outer(self._p, self._q)
        self.gradients[2] += by_bias
        self.gradients[3] += by_bias * self._q
        return d @ self._matrix().T


def _rooted(scale: float, drawn: Array, dtype: Any) -> Array:
    """f of the drawn numbers times the scale."""
    x = scale * drawn
    return np.asarray(np.sign(x) * np.sqrt(np.abs(x)), dtype)


class Tanh(Layer):
    def forward(self, x: Array) -> Array:
        self._y = np.tanh(x)
        return self._y

    def backward(self, d: Array) -> Array:
        return d * (1 - self._y**2)


class Relu(Layer):
    def forward(self, x: Array) -> Array:
        self._on = x > 0
        return x * self._on

    def backward(self, d: Array) -> Array:
        return d * self._on


class Chain(Layer):
    """Layers one after the other."""

    def __init__(self, *layers: Layer):
        super().__init__()
        self.layers = layers
        self.weights = [w for layer in layers for w in layer.weights]
        self.gradients = [g for layer in layers for g in layer.gradients]

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, d: Array) -> Array:
        for layer in reversed(self.layers):
            d = layer.backward(d)
        return d


class Adam:
    """Kingma and Ba, arXiv:1412.6980, on gradients that are scaled down to a length of at most `longest`."""

    def __init__(self, weights: Sequence[Array], gradients: Sequence[Array], rate: float, longest: float = 10.0):
        self.rate = rate
        self.longest = longest
        self._weights, self._gradients = list(weights), list(gradients)
        self._means = [np.zeros_like(w) for w in weights]
        self._squares = [np.zeros_like(w) for w in weights]
        self._steps = 0

    def step(self) -> None:
        """One step by the gradients that have gathered; they begin at 0 again."""
        self._steps += 1
        length = math.sqrt(sum(float(np.vdot(g, g)) for g in self._gradients))
        scale = min(1.0, self.longest / max(length, 1e-12))
        rate = self.rate * math.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        for weight, gradient, mean, square in zip(self._weights, self._gradients, self._means, self._squares):
            gradient *= scale
            mean *= 0.9
            mean += 0.1 * gradient
            square *= 0.999
            square += 0.001 * gradient**2
            weight -= rate * mean / (np.sqrt(square) + 1e-8)
            gradient[...] = 0.0


def copied(source: Iterable[Array], target: Iterable[Array]) -> None:
    """Sets the target's weights to the source's."""
    for one, other in zip(source, target):
        other[...] = one


def masked_softmax(logits: Array, valid: Array) -> Array:
    """Probabilities along the last axis; 0 where not `valid`. Each row has a valid place."""
    held = np.where(valid, logits, -np.inf)
    raised = np.exp(held - held.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
