"""Kernels that are something else in training than the numbers that are learned: reparametrised, or noisy.

Each class wraps a layer with a kernel (Dense, a convolution) and computes that layer with a kernel made from its own.
`folded` gives the plain layer for inference (see `automl.layers.folding`), so none of them reaches an artifact. All run
under TensorFlow and JAX: nothing is assigned to a trainable variable within a step (as Keras's own SpectralNormalization
does, whose kernel JAX's pure steps lose).
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

PACKAGE = "automl"
EPSILON = 1e-12


class KernelWrapper(keras.layers.Wrapper):
    """Computes the wrapped layer with another kernel. Subclasses say which, by `effective`."""

    def __init__(self, layer: Any, **kwargs: Any):
        super().__init__(layer, **{"name": layer.name, **kwargs})

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        self._shape = input_shape
        self._own(self.layer.kernel)
        self.built = True

    def _own(self, kernel: Any) -> None:
        """Adds weights beside the wrapped layer's; it is built."""

    def effective(self, kernel: Any, training: bool) -> Any:
        """The kernel to compute with, float32."""
        raise NotImplementedError

    def call(self, inputs: Any, training: bool = False) -> Any:
        kernel = self.layer.kernel
        made = ops.cast(self.effective(ops.cast(kernel, "float32"), bool(training)), self.compute_dtype)
        return self._with(made, inputs)

    def _with(self, kernel: Any, inputs: Any) -> Any:
        """The wrapped layer's output with this kernel."""
        layer = self.layer
        values = [kernel if v is layer.kernel else v.value for v in layer.trainable_variables]
        output, _ = layer.stateless_call(values, [v.value for v in layer.non_trainable_variables], inputs)
        return output

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def folded(self) -> Any:
        """The wrapped layer's like with the kernel of inference."""
        layer = self.layer
        plain = type(layer).from_config(layer.get_config())
        plain.build(self._shape)
        made = np.asarray(ops.convert_to_numpy(self.effective(ops.convert_to_tensor(layer.kernel), training=False)))
        plain.set_weights([
            made if v is layer.kernel else value for v, value in zip(layer.weights, layer.get_weights(), strict=True)
        ])
        return plain


def _rows(kernel: Any) -> Any:
    """A kernel as a matrix [inputs of a filter, filters]."""
    return ops.reshape(kernel, (-1, kernel.shape[-1]))


@keras.saving.register_keras_serializable(PACKAGE)
class WeightNorm(KernelWrapper):
    """w = g · v / ‖v‖ for each filter, with the learned length g, at ‖v‖ in the beginning (Salimans, Kingma 2016)."""

    def _own(self, kernel: Any) -> None:
        lengths = np.linalg.norm(np.asarray(ops.convert_to_numpy(kernel)).reshape(-1, kernel.shape[-1]), axis=0)
        self.scale = self.add_weight(
            name="scale", shape=(kernel.shape[-1],),
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(lengths, dtype=dtype),
        )

    def effective(self, kernel: Any, training: bool) -> Any:
        lengths = ops.sqrt(ops.sum(ops.square(_rows(kernel)), axis=0) + EPSILON)
        return kernel * (ops.cast(self.scale, "float32") / lengths)


@keras.saving.register_keras_serializable(PACKAGE)
class WeightStandardization(KernelWrapper):
    """Each filter's weights with mean 0 and variance 1 (Qiao et al. 2019).

    With `scaled`, where no normalisation follows: divided by √(weights of a filter) and times a learned gain for each
    filter, at √2 in the beginning, so that the output of rectified inputs keeps its variance (Brock et al. 2021).
    """

    def __init__(self, layer: Any, scaled: bool = False, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.scaled = scaled

    def _own(self, kernel: Any) -> None:
        if self.scaled:
            self.scale = self.add_weight(
                name="scale", shape=(kernel.shape[-1],), initializer=keras.initializers.Constant(math.sqrt(2.0))
            )

    def effective(self, kernel: Any, training: bool) -> Any:
        rows = _rows(kernel)
        mean = ops.mean(rows, axis=0)
        # The variance from deviations: a difference of moments loses digits, and may be negative.
        deviation = ops.sqrt(ops.mean(ops.square(rows - mean), axis=0) + EPSILON)
        standardised = (kernel - mean) / deviation
        if not self.scaled:
            return standardised
        return standardised * (ops.cast(self.scale, "float32") / math.sqrt(rows.shape[0]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scaled": self.scaled}


@keras.saving.register_keras_serializable(PACKAGE)
class SpectralNorm(KernelWrapper):
    """w = v / σ(v), with the largest singular value σ of the kernel as a matrix [inputs of a filter, filters]
    (Miyato et al. 2018).

    σ comes from power iteration: training makes `iterations` rounds a step, from the vector of the step before; inference
    and folding make `SURE` rounds from the last one and don't keep them.
    """

    SURE = 20

    def __init__(self, layer: Any, iterations: int = 1, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.iterations = iterations

    def _own(self, kernel: Any) -> None:
        filters = int(kernel.shape[-1])
        # Fixed, so that equal recipes give equal models; any start not orthogonal to the singular vector will do.
        start = np.random.default_rng(filters).normal(size=filters)
        self.vector = self.add_weight(
            name="singular_vector", shape=(filters,), trainable=False,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(start / np.linalg.norm(start), dtype=dtype),
        )

    def effective(self, kernel: Any, training: bool) -> Any:
        rows = _rows(kernel)
        matrix, right = ops.stop_gradient(rows), ops.cast(self.vector, "float32")
        left = matrix[:, 0]
        for _ in range(self.iterations if training else self.SURE):
            left = _unit(ops.matmul(matrix, right))
            right = _unit(ops.matmul(left, matrix))
        if training:
            self.vector.assign(ops.cast(right, self.vector.dtype))
        # Its gradient is that of σ: the vectors count as constants (the paper's equation 12).
        sigma = ops.sum(left * ops.matmul(rows, right))
        return kernel / (sigma + EPSILON)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "iterations": self.iterations}


def _unit(vector: Any) -> Any:
    return vector / ops.sqrt(ops.sum(ops.square(vector)) + EPSILON)


@keras.saving.register_keras_serializable(PACKAGE)
class Shakeout(KernelWrapper):
    """A dense layer whose inputs are silenced or strengthened at random, contrarily to the signs of their weights
    (Kang, Li, Tao 2016).

    With r = 0 at probability τ (`rate`), else 1 / (1 − τ), for each example and input: W̃ = r W + c (r − 1) sign(W). A
    silenced input so still passes −c for each positive weight; the mean over r is W, which inference uses.
    """

    def __init__(self, layer: Any, rate: float = 0.1, strength: float = 0.05, seed: int | None = None, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.rate, self.strength, self.seed = rate, strength, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def effective(self, kernel: Any, training: bool) -> Any:
        return kernel

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return self.layer(inputs)
        # dropout(1) is r: 0, or 1 / (1 − τ).
        factors = keras.random.dropout(ops.ones_like(inputs), self.rate, seed=self.seed_generator)
        kernel = ops.cast(self.layer.kernel, inputs.dtype)
        # One product of both terms: TensorFlow's optimizer of graphs stumbles over two that are added in front of a bias.
        both = ops.concatenate([inputs * factors, self.strength * (inputs * (factors - 1))], axis=-1)
        output = ops.matmul(both, ops.concatenate([kernel, ops.sign(kernel)], axis=0))
        if self.layer.use_bias:
            output = output + ops.cast(self.layer.bias, output.dtype)
        return output if self.layer.activation is None else self.layer.activation(output)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "strength": self.strength, "seed": self.seed}
