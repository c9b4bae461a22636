"""Recurrence over sequences: a frame that reads in one or both directions under a mask, and the cells that Keras lacks.

Masks are ones, then zeros: padding stands behind the steps that are there. Read forwards, nothing of it reaches a step that
counts. To read backwards, the steps that are there are reversed among themselves and padding stays behind them. So the
recurrent layers need no mask of their own, which would keep the fast kernels of GPUs and TensorFlow Lite's integers away.

Everything here does the same in training and inference. TensorFlow Lite has no loop for these graphs, so the exporter
unrolls the layers that have an attribute `unroll`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

PACKAGE = "automl"


@keras.saving.register_keras_serializable(PACKAGE)
class Recurrence(keras.layers.Layer):
    """Runs a recurrent layer over [x [b, steps, f], mask [b, steps, 1]] or x alone → [b, steps, units]; with a second one
    that reads `backward` → [b, steps, 2 · units], forwards first, both in the order of time.

    Both are layers [b, steps, f] → [b, steps, units] that read forwards, as Keras's recurrent ones with `return_sequences`
    are; what the second one is given is reversed. What stands at steps that aren't there is unspecified.
    """

    def __init__(self, layer: Any, backward: Any | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if any(one is not None and not one.return_sequences for one in (layer, backward)):
            raise ValueError("expected layers that return sequences")
        self.layer, self.backward = layer, backward

    def build(self, input_shape: Any) -> None:
        shape = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
        for layer in (self.layer, self.backward):
            # A layer that was loaded inside this one's config is built already.
            if layer is not None and not layer.built:
                layer.build(tuple(shape))
        self.built = True

    def call(self, inputs: Any) -> Any:
        x, mask = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        forwards = self.layer(x)
        if self.backward is None:
            return forwards
        return ops.concatenate([forwards, reversed_steps(self.backward(reversed_steps(x, mask)), mask)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
        units = self.layer.units if hasattr(self.layer, "units") else self.layer.cell.units
        return (shape[0], shape[1], units * (1 if self.backward is None else 2))

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(), "layer": serialize(self.layer),
            "backward": None if self.backward is None else serialize(self.backward),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Recurrence:
        made = {
            name: config[name] and keras.saving.deserialize_keras_object(config[name]) for name in ("layer", "backward")
        }
        return cls(**{**config, **made})


def reversed_steps(x: Any, mask: Any | None) -> Any:
    """x [b, steps, f] with the steps that are there (mask [b, steps, 1]) in reverse order; the others stay behind them, in
    some order."""
    if mask is None:
        return ops.flip(x, axis=1)
    steps = int(x.shape[1])
    length = ops.cast(ops.sum(mask, axis=1), "int32")  # [b, 1]
    places = ops.expand_dims(ops.arange(steps, dtype="int32"), 0)
    # |length − 1 − t| is the mirrored place of a step that is there, and lies among the others for one that isn't.
    places = ops.minimum(ops.absolute(length - 1 - places), steps - 1)
    return ops.take_along_axis(x, ops.expand_dims(places, -1), axis=1)


@keras.saving.register_keras_serializable(PACKAGE)
class EndStates(keras.layers.Layer):
    """What a recurrence knows when it has read all: [x [b, steps, f], mask [b, steps, 1]] or x alone → [b, f].

    The state at the last step that is there; of a recurrence in both directions (`backward`) the second half of the
    features comes from the first step instead, which is where reading backwards ends. Zeros where no step is.
    """

    def __init__(self, backward: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.backward = backward

    def call(self, inputs: Any) -> Any:
        x, mask = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        if mask is None:
            last, first = x[:, -1], x[:, 0]
        else:
            # 1 at a step that is there and has none behind it; the mask is ones, then zeros.
            behind = ops.pad(mask[:, 1:], [[0, 0], [0, 1], [0, 0]])
            last, first = ops.sum(x * (mask - behind), axis=1), x[:, 0] * mask[:, 0]
        if not self.backward:
            return last
        units = x.shape[-1] // 2
        return ops.concatenate([last[:, :units], first[:, units:]], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
        return (shape[0], shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "backward": self.backward}


@keras.saving.register_keras_serializable(PACKAGE)
class IndependentCell(keras.layers.Layer):
    """A cell whose units see only themselves: h_t = relu(W x_t + u ∘ h_{t−1} + b), u [units] (Li et al., arXiv:1803.04831).

    |u| is kept at most 2^(1/steps): what one unit carries over `steps` steps at most doubles. u begins between 0 and 1.
    For `keras.layers.RNN`: x [b, f] and one state [b, units].
    """

    def __init__(
        self, units: int, steps: int, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = None, kernel_regularizer: Any = None, **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if units < 1 or steps < 1:
            raise ValueError(f"expected units and steps ≥ 1, got {units} and {steps}")
        self.units, self.steps, self.state_size, self.output_size = units, steps, units, units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(
            recurrent_initializer or keras.initializers.RandomUniform(0.0, 1.0)
        )
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.units), initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.recurrent = self.add_weight(name="recurrent", shape=(self.units,), initializer=self.recurrent_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.built = True

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> Any:
        bound = 2.0 ** (1.0 / self.steps)
        before = states[0] if isinstance(states, list | tuple) else states
        weight = ops.minimum(ops.maximum(self.recurrent, -bound), bound)
        h = ops.relu(ops.matmul(inputs, self.kernel) + self.bias + before * weight)
        return h, [h]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "units": self.units, "steps": self.steps,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


@keras.saving.register_keras_serializable(PACKAGE)
class QuasiRecurrent(keras.layers.Layer):
    """Convolutions over time, and a recurrence that only blends (QRNN with fo-pooling, Bradbury et al., arXiv:1611.01576).

    With causal convolutions over `window` steps z = tanh(Wz * x), f = σ(Wf * x), o = σ(Wo * x):
    c_t = f_t ∘ c_{t−1} + (1 − f_t) ∘ z_t, h_t = o_t ∘ c_t. The recurrence is linear in c, so all steps are computed
    together: the pairs (f, (1 − f) z) are combined with the pairs 1, 2, 4, … steps before them, ⌈log₂ steps⌉ times.
    x [b, steps, f] → [b, steps, units].
    """

    return_sequences = True

    def __init__(
        self, units: int, window: int = 2, kernel_initializer: Any = "glorot_uniform", kernel_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if units < 1 or window < 1:
            raise ValueError(f"expected units and window ≥ 1, got {units} and {window}")
        self.units, self.window = units, window
        self.convolution = keras.layers.Conv1D(
            3 * units, window, padding="causal", kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer, dtype=self.dtype_policy, name="gates",
        )

    def build(self, input_shape: Any) -> None:
        self.convolution.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        gates = self.convolution(inputs)
        z = ops.tanh(gates[..., : self.units])
        keep = ops.sigmoid(gates[..., self.units : 2 * self.units])
        return ops.sigmoid(gates[..., 2 * self.units :]) * linear_recurrence(keep, (1.0 - keep) * z)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "units": self.units, "window": self.window,
            "kernel_initializer": keras.initializers.serialize(self.convolution.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.convolution.kernel_regularizer),
        }


def linear_recurrence(keep: Any, new: Any) -> Any:
    """c_t = keep_t ∘ c_{t−1} + new_t with c_{−1} = 0, for all t at once; all [b, steps, units].

    By doubling (Hillis and Steele, 1986): after k rounds each pair spans 2^k steps, in slices, paddings, products and sums,
    which every runtime has.
    """
    steps, span = int(new.shape[1]), 1
    while span < steps:
        shift = [[0, 0], [span, 0], [0, 0]]
        new = keep * ops.pad(new[:, :-span], shift) + new
        if 2 * span < steps:
            keep = keep * ops.pad(keep[:, :-span], shift)
        span *= 2
    return new


@keras.saving.register_keras_serializable(PACKAGE)
class HierarchicalCell(keras.layers.Layer):
    """Two LSTM levels, of which the upper one moves only where the lower one finds a boundary (HM-LSTM, Chung et al.,
    arXiv:1609.01704).

    With the boundary z of the step before, level 1 computes [f, i, o, g, s] = U₁ h¹ + z · V h² + W₁ x + b₁ and
    c¹ ← (1 − z) f ∘ c¹ + i ∘ g (after a boundary it begins anew), h¹ = o ∘ tanh(c¹), and finds the next boundary
    z = [clip((s + 1) / 2, 0, 1) > ½], whose gradient is that of the clipped line (straight through). Level 2 then takes
    [f, i, o, g] = U₂ h² + W₂ h¹ + b₂ where z = 1, and copies its state where z = 0. Output:
    relu(e₁ E₁ h¹ + e₂ E₂ h²) with gates e = σ(w [h¹, h²]). f, i, o and e pass a sigmoid, g a tanh. For `keras.layers.RNN`:
    x [b, f], states h¹, c¹, z, h², c².
    """

    def __init__(
        self, units: int, kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
        kernel_regularizer: Any = None, **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"expected units ≥ 1, got {units}")
        self.units, self.output_size = units, units
        self.state_size = [units, units, 1, units, units]
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        u = self.units

        def kernel(name: str, rows: int, columns: int, recurrent: bool = False) -> Any:
            # Initialisers may be used once each (they are seeded): clones give each kernel its own draw of one seed.
            initializer = self.recurrent_initializer if recurrent else self.kernel_initializer
            return self.add_weight(
                name=name, shape=(rows, columns), initializer=initializer.clone(),
                regularizer=None if recurrent else self.kernel_regularizer,
            )

        def bias(name: str, columns: int) -> Any:
            # A forget gate that begins open (first quarter at 1), as in Keras's LSTM.
            def initial(shape: Any, dtype: Any = None) -> Any:
                return ops.concatenate([ops.ones((u,), dtype=dtype), ops.zeros((columns - u,), dtype=dtype)])

            return self.add_weight(name=name, shape=(columns,), initializer=initial)

        self.bottom_up_1 = kernel("bottom_up_1", int(input_shape[-1]), 4 * u + 1)
        self.recurrent_1 = kernel("recurrent_1", u, 4 * u + 1, recurrent=True)
        self.top_down = kernel("top_down", u, 4 * u + 1, recurrent=True)
        self.bias_1 = bias("bias_1", 4 * u + 1)
        self.bottom_up_2 = kernel("bottom_up_2", u, 4 * u)
        self.recurrent_2 = kernel("recurrent_2", u, 4 * u, recurrent=True)
        self.bias_2 = bias("bias_2", 4 * u)
        self.levels = kernel("levels", 2 * u, 2)
        self.exit_1 = kernel("exit_1", u, u)
        self.exit_2 = kernel("exit_2", u, u)
        self.built = True

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> Any:
        h1, c1, z, h2, c2 = states
        s = ops.matmul(inputs, self.bottom_up_1) + ops.matmul(h1, self.recurrent_1) + self.bias_1
        s = s + z * ops.matmul(h2, self.top_down)
        f, i, o, g = self._gates(s)
        c1 = (1.0 - z) * f * c1 + i * g
        h1 = o * ops.tanh(c1)
        z = boundary(s[:, 4 * self.units :])
        f, i, o, g = self._gates(ops.matmul(h2, self.recurrent_2) + ops.matmul(h1, self.bottom_up_2) + self.bias_2)
        c2 = z * (f * c2 + i * g) + (1.0 - z) * c2
        h2 = z * o * ops.tanh(c2) + (1.0 - z) * h2
        e = ops.sigmoid(ops.matmul(ops.concatenate([h1, h2], axis=-1), self.levels))
        y = ops.relu(e[:, :1] * ops.matmul(h1, self.exit_1) + e[:, 1:] * ops.matmul(h2, self.exit_2))
        return y, [h1, c1, z, h2, c2]

    def _gates(self, s: Any) -> tuple[Any, Any, Any, Any]:
        u = self.units
        f, i, o = (ops.sigmoid(s[:, k * u : (k + 1) * u]) for k in range(3))
        return f, i, o, ops.tanh(s[:, 3 * u : 4 * u])

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "units": self.units,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def boundary(s: Any) -> Any:
    """1 where s > 0, else 0; backwards the gradient of clip((s + 1) / 2, 0, 1)."""
    line = ops.minimum(ops.maximum((s + 1.0) * 0.5, 0.0), 1.0)
    step = ops.cast(ops.greater(line, 0.5), line.dtype)
    return line + ops.stop_gradient(step - line)
