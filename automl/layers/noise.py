"""Layers that disturb a network in training only. In inference they are the identity, or their mean; `folded` takes them
out of the model that leaves training (see `automl.layers.folding`)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

PACKAGE = "automl"


@keras.saving.register_keras_serializable(PACKAGE)
class DropBlock(keras.layers.Layer):
    """Sets whole squares of `size` × `size` places to 0, for each example and channel by itself (Ghiasi et al. 2018).

    A square's first corner is drawn at each place where the square fits, with the chance γ at which a share `rate` of all
    places is expected to be hidden, overlaps counted; what is left is scaled by places / places left. [b, h, w, channels].
    Squares are cut to the shorter side of small maps.
    """

    def __init__(self, rate: float = 0.1, size: int = 3, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate, self.size, self.seed = rate, size, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        self._side = min(self.size, int(input_shape[1]), int(input_shape[2]))
        self._chance = corner_chance(int(input_shape[1]), int(input_shape[2]), self._side, self.rate)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        side, (h, w) = self._side, inputs.shape[1:3]
        shape = (ops.shape(inputs)[0], h - side + 1, w - side + 1, inputs.shape[3])
        drawn = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        corners = ops.cast(drawn < self._chance, "float32")
        spare = side - 1
        hidden = ops.max_pool(
            ops.pad(corners, ((0, 0), (spare, spare), (spare, spare), (0, 0))), side, strides=1, padding="valid"
        )
        left = 1.0 - hidden
        # Over the batch, as the paper does: one picture's own count would scale a nearly hidden one by a large number.
        share = ops.mean(left)
        return inputs * ops.cast(left / ops.maximum(share, 1e-3), inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def folded(self) -> None:
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "size": self.size, "seed": self.seed}


def corner_chance(height: int, width: int, side: int, rate: float) -> float:
    """The chance γ of a square at each place where one fits, so that the expected share of hidden places is `rate`.

    A place that n squares can cover stays with (1 − γ)ⁿ; their mean is brought to 1 − rate by bisection. (The paper's
    γ ≈ rate · h · w / (side² · places where a square fits) leaves overlaps out.)
    """
    def covering(length: int) -> np.ndarray:
        places = np.arange(length)
        return np.minimum(places, length - side) - np.maximum(places - side + 1, 0) + 1

    squares = np.outer(covering(height), covering(width))
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ((1 - middle) ** squares).mean() > 1 - rate else (low, middle)
    return (low + high) / 2


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianBottleneck(keras.layers.Layer):
    """A representation as a normal distribution whose distance from N(0, 1) is penalised (Alemi et al. 2017).

    Training gives z = μ(x) + σ(x) ε with ε ~ N(0, 1), both linear in the input, and adds `weight` · KL to the model's
    losses, with KL = ½ Σ (μ² + σ² − log σ² − 1), the mean over the batch, in nats. Inference gives μ(x); folded it is a
    Dense. [b, features] → [b, units], or [b, members, features] → [b, members, units].
    """

    LEAST, LARGEST = -8.0, 8.0
    """Bounds of log σ², beyond which exp is useless in float16."""

    def __init__(self, units: int, weight: float = 1e-3, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.weight, self.seed = units, weight, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        glorot = keras.initializers.GlorotUniform(seed=seed)
        self.mean = keras.layers.Dense(units, kernel_initializer=glorot, name="mean")
        # Little noise in the beginning (σ = e⁻² ≈ 0.14), so that there is something to learn from.
        self.log_variance = keras.layers.Dense(
            units, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-4.0), name="log_variance"
        )

    def build(self, input_shape: Any) -> None:
        self._shape = input_shape
        self.mean.build(input_shape)
        self.log_variance.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        mean = self.mean(inputs)
        if not training:
            return mean
        log_variance = ops.clip(ops.cast(self.log_variance(inputs), "float32"), self.LEAST, self.LARGEST)
        self.add_loss(self.weight * divergence(ops.cast(mean, "float32"), log_variance))
        noise = keras.random.normal(ops.shape(mean), dtype="float32", seed=self.seed_generator)
        return mean + ops.cast(ops.exp(log_variance / 2) * noise, mean.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)

    def folded(self) -> Any:
        plain = keras.layers.Dense(self.units, name=self.name)
        plain.build(self._shape)
        plain.set_weights(self.mean.get_weights())
        return plain

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "weight": self.weight, "seed": self.seed}


def divergence(mean: Any, log_variance: Any) -> Any:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)), summed over the last axis, the mean over the others."""
    terms = ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0
    return 0.5 * ops.mean(ops.sum(terms, axis=-1))
