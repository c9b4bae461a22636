"""Optimizers that Keras lacks, and wrappers that change what an optimizer does with its variables.

The classes are Keras optimizers like others: with a config, with gradient clipping, accumulation, averages and decay from
the base class, under every backend. The wrappers return the same object, as those of `automl.layers.gradients` do: it stays
an instance of its class, so that schedules, loss scaling and checkpoints see nothing of them; what they have to remember
stands among its variables.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("automl")
class Lars(keras.optimizers.Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman, Ginsburg: Large Batch Training of Convolutional Networks,
    arXiv:1708.03888, algorithm 1).

    Of each kernel w with gradient g: λ = trust ‖w‖ / (‖g‖ + β ‖w‖); v ← m v + η λ (g + β w); w ← w − v. Vectors (biases,
    scales) have λ = 1 and no decay, as is usual since Goyal et al. (2017). β is `decay`; the base class's `weight_decay` is
    another, which isn't scaled.
    """

    def __init__(
        self, learning_rate: Any = 0.1, momentum: float = 0.9, trust: float = 1e-3, decay: float = 0.0, name: str = "lars",
        **options: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **options)
        self.momentum, self.trust, self.decay = momentum, trust, decay

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        velocity = self._velocities[self._get_variable_index(variable)]
        if len(variable.shape) > 1:
            weights = ops.convert_to_tensor(variable)
            size, steepness = ops.sqrt(ops.sum(ops.square(weights))), ops.sqrt(ops.sum(ops.square(gradient)))
            below = steepness + self.decay * size
            local = self.trust * size / ops.where(below > 0, below, 1.0)
            # Without weights or without a gradient there is no ratio to take.
            rate = rate * ops.where(ops.logical_and(size > 0, steepness > 0), local, 1.0)
            gradient = gradient + self.decay * weights
        self.assign(velocity, self.momentum * ops.convert_to_tensor(velocity) + rate * gradient)
        self.assign_sub(variable, velocity)

    def get_config(self) -> dict[str, Any]:
        own = {"momentum": self.momentum, "trust": self.trust, "decay": self.decay}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("automl")
class RectifiedAdam(keras.optimizers.Optimizer):
    """RAdam: Adam whose adaptive scaling sets in when its variance is known (Liu et al., arXiv:1908.03265, algorithm 2).

    ρ∞ = 2 / (1 − β₂) − 1 and ρ_t = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ). Where ρ_t > 4 the step is η r_t m̂ / (√v̂ + ε) with r_t² =
    (ρ_t − 4)(ρ_t − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ_t), before that it is η m̂. β₂ must be above 0.6, so that ρ∞ > 4.
    """

    def __init__(
        self, learning_rate: Any = 1e-3, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
        name: str = "radam", **options: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **options)
        if not 0.6 < beta_2 < 1:
            raise ValueError(f"beta_2 must lie in (0.6, 1), got {beta_2}")
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign(m, self.beta_1 * ops.convert_to_tensor(m) + (1 - self.beta_1) * gradient)
        self.assign(v, self.beta_2 * ops.convert_to_tensor(v) + (1 - self.beta_2) * ops.square(gradient))
        t = ops.cast(self.iterations + 1, variable.dtype)
        power_1, power_2 = ops.power(self.beta_1, t), ops.power(self.beta_2, t)
        longest = 2 / (1 - self.beta_2) - 1
        length = longest - 2 * t * power_2 / (1 - power_2)
        known = length > 4
        # Where the variance isn't known the expression under the root may be negative; it isn't used there.
        square = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        rectified = ops.sqrt(ops.where(known, square, 1.0))
        scale = ops.sqrt(ops.convert_to_tensor(v) / (1 - power_2)) + self.epsilon
        mean = ops.convert_to_tensor(m) / (1 - power_1)
        self.assign_sub(variable, rate * mean * ops.where(known, rectified / scale, 1.0))

    def get_config(self) -> dict[str, Any]:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


def lookahead(optimizer: Any, interval: int, share: float) -> Any:
    """The optimizer, not built yet, with slow weights s beside the weights w that it moves (Zhang et al., arXiv:1907.08610):
    after every `interval` of its updates s ← s + share (w − s) and w ← s.

    The slow weights begin where the weights stand at the first step, not where they were built, so that weights may be
    loaded in between. With accumulated gradients updates are counted, not batches.
    """
    build, apply = optimizer.build, optimizer.apply

    def built(variables: list[Any]) -> None:
        build(variables)
        optimizer._slow_weights = [optimizer.add_variable_from_reference(v, name="slow") for v in variables]

    def applied(grads: Any, trainable_variables: Any = None) -> None:
        weights = optimizer._trainable_variables
        first = ops.equal(optimizer._iterations, 0)
        for variable, slow in zip(weights, optimizer._slow_weights, strict=True):
            start = ops.convert_to_tensor(variable.value)
            slow.assign(ops.where(first, start, ops.convert_to_tensor(slow.value)))
        apply(grads, trainable_variables)
        batches = interval * (optimizer.gradient_accumulation_steps or 1)
        meets = ops.equal(optimizer._iterations % batches, 0)
        for variable, slow in zip(weights, optimizer._slow_weights, strict=True):
            fast, behind = ops.convert_to_tensor(variable.value), ops.convert_to_tensor(slow.value)
            moved = behind + share * (fast - behind)
            slow.assign(ops.where(meets, moved, behind))
            variable.assign(ops.where(meets, moved, fast))

    optimizer.build, optimizer.apply = built, applied
    return optimizer


def rates_by_depth(optimizer: Any, decay: float) -> Any:
    """The optimizer, not built yet, whose rate falls with the distance from the output: `decay`^(levels below the last) ×
    the rate, for its steps and for its decoupled decay alike. Levels are those of `depths`."""
    build, step = optimizer.build, optimizer.update_step

    def built(variables: list[Any]) -> None:
        build(variables)
        levels = depths(variables)
        optimizer._rate_factors = [decay ** (max(levels, default=0) - level) for level in levels]

    def factor(variable: Any) -> float:
        return float(optimizer._rate_factors[optimizer._get_variable_index(variable)])

    def stepped(gradient: Any, variable: Any, learning_rate: Any) -> None:
        step(gradient, variable, learning_rate * factor(variable))

    def decayed(variables: list[Any]) -> None:
        if optimizer.weight_decay is None:
            return
        for variable in variables:
            if optimizer._use_weight_decay(variable):
                rate = ops.cast(optimizer.learning_rate, variable.dtype) * factor(variable)
                variable.assign(variable - variable * optimizer.weight_decay * rate)

    optimizer.build, optimizer.update_step, optimizer._apply_weight_decay = built, stepped, decayed
    return optimizer


def depths(variables: list[Any]) -> list[int]:
    """The level of each trainable variable, counted from the input: a kernel or table of embeddings of another layer begins
    a new one, all else (biases, normalisations, scales) belongs to the kernel before it. Keras lists a functional model's
    variables from its inputs to its output."""
    levels: list[int] = []
    level, layer = 0, None
    for variable in variables:
        path = variable.path.rpartition("/")[0]
        if ("kernel" in variable.name or "embedding" in variable.name) and path != layer:
            level += layer is not None
            layer = path
        levels.append(level)
    return levels
