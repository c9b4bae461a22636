"""Initialisations that keep the size of signals and gradients from layer to layer.

A kernel's variance is chosen from its fan-in (inputs of a unit) and fan-out, so that activations neither die out nor
explode with depth at the start of training.
"""

from __future__ import annotations

from automl.catalog import Categorical, Component, Float, TrainPlan, technique

DISTRIBUTION = {"distribution": Categorical(("normal", "uniform"), "normal")}


def _scaling(plan: TrainPlan, scale: float, mode: str, distribution: str) -> TrainPlan:
    shape = "truncated_normal" if distribution == "normal" else "uniform"
    return plan.replace(
        init=Component("keras.initializers:VarianceScaling", {"scale": scale, "mode": mode, "distribution": shape})
    )


@technique(
    id="glorot", stage="init", slot="init", params=DISTRIBUTION,
    reference="Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks (AISTATS 2010)",
)
def glorot(plan: TrainPlan, *, distribution: str) -> TrainPlan:
    """Glorot's initialisation: kernel variance 2 / (fan_in + fan_out).

    What it changes: the spread of each kernel's first values. Why it may help: for activations that are linear around
    0 (tanh, softplus-like) it keeps the variance of signals forwards and of gradients backwards, as a compromise of
    both. When it hurts: rectifiers throw half of the signal away, and deep stacks without normalisation then fade;
    take `he`. How: normal (truncated at two deviations and corrected for it) or uniform in ±sqrt(6 / (fan_in +
    fan_out)).
    """
    return _scaling(plan, 1.0, "fan_avg", distribution)


@technique(
    id="he", stage="init", slot="init", params=DISTRIBUTION, default=True, reference="arXiv:1502.01852",
)
def he(plan: TrainPlan, *, distribution: str) -> TrainPlan:
    """He's initialisation for rectifiers: kernel variance 2 / fan_in.

    What it changes: the spread of each kernel's first values. Why it may help: a rectifier passes half of its input's
    variance; the factor 2 makes up for it, so that very deep nets of ReLUs start with signals of constant size. When
    it hurts: with activations that don't halve the signal (tanh, SELU) it starts too large. How: normal (truncated at
    two deviations and corrected for it) or uniform in ±sqrt(6 / fan_in).
    """
    return _scaling(plan, 2.0, "fan_in", distribution)


@technique(
    id="lecun", stage="init", slot="init", params=DISTRIBUTION,
    reference="LeCun, Bottou, Orr, Müller: Efficient BackProp (1998)",
)
def lecun(plan: TrainPlan, *, distribution: str) -> TrainPlan:
    """LeCun's initialisation: kernel variance 1 / fan_in.

    What it changes: the spread of each kernel's first values. Why it may help: a linear unit then keeps its input's
    variance exactly, which self-normalising activations (SELU) are derived from. When it hurts: behind rectifiers
    signals shrink by half in each layer. How: normal (truncated at two deviations and corrected for it) or uniform in
    ±sqrt(3 / fan_in).
    """
    return _scaling(plan, 1.0, "fan_in", distribution)


@technique(
    id="orthogonal", stage="init", slot="init", params={"gain": Float(0.5, 2.0, 1.41)}, reference="arXiv:1312.6120",
)
def orthogonal(plan: TrainPlan, *, gain: float) -> TrainPlan:
    """Orthogonal initialisation: every kernel, as a matrix, has orthonormal rows or columns times a gain.

    What it changes: the directions of the first weights, not their size alone. Why it may help: an orthogonal map
    keeps all lengths and angles, so that gradients reach the first layer of deep linear parts undistorted, and units
    start uncorrelated. When it hurts: little to gain in shallow nets; the QR decomposition makes building very wide
    layers slow. How: Q of a QR decomposition of a normal matrix [inputs · kernel area, outputs], times `gain` (√2 ≈
    1.41 makes up for rectifiers).
    """
    return plan.replace(init=Component("keras.initializers:Orthogonal", {"gain": gain}))
