"""Activations that pass positive values and hold negative ones back."""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Float, TrainPlan, technique


@technique(
    id="relu", stage="activation", slot="activation", default=True,
    reference="Nair, Hinton: Rectified Linear Units Improve Restricted Boltzmann Machines (ICML 2010)",
)
def relu(plan: TrainPlan) -> TrainPlan:
    """ReLU: max(0, x).

    What it changes: the non-linearity of hidden layers. Why it may help: gradients of 1 where a unit is active don't
    fade with depth; sparse outputs; the cheapest activation in every runtime, and fused into the layer before it in
    8-bit integers. When it hurts: a unit whose input is negative for all data gets no gradient and stays dead, which
    high learning rates provoke. How: max(0, x).
    """
    return plan.replace(activation=Component(f"{__name__}:layer", {"kind": "relu"}))


@technique(
    id="leaky-relu", stage="activation", slot="activation", params={"slope": Float(0.01, 0.3, 0.1, log=True)},
    reference="Maas, Hannun, Ng: Rectifier Nonlinearities Improve Neural Network Acoustic Models (2013)",
)
def leaky_relu(plan: TrainPlan, *, slope: float) -> TrainPlan:
    """Leaky ReLU: x for positive, slope · x for negative inputs.

    What it changes: negative inputs are passed with a small slope. Why it may help: no unit can die, since some
    gradient always flows; small convnets often gain a little. When it hurts: outputs are no longer sparse; otherwise
    hardly ever. How: max(x, slope · x).
    """
    return plan.replace(activation=Component(f"{__name__}:layer", {"kind": "leaky-relu", "slope": slope}))


@technique(
    id="prelu", stage="activation", slot="activation", params={"slope": Float(0.0, 0.5, 0.25)}, cost=1.1,
    reference="arXiv:1502.01852",
)
def prelu(plan: TrainPlan, *, slope: float) -> TrainPlan:
    """PReLU: a leaky ReLU whose slope is learned for each unit or channel.

    What it changes: the slope of negative inputs becomes a weight, starting at `slope`. Why it may help: each channel
    finds its own place between linear and rectified, at one more weight a channel; it made the first network better
    than people on ImageNet. When it hurts: with few rows it is one more thing to overfit. How: max(0, x) + a_c min(0,
    x) with a_c shared over places.
    """
    return plan.replace(activation=Component(f"{__name__}:layer", {"kind": "prelu", "slope": slope}))


def layer(*, kind: str, rank: int, slope: float = 0.0) -> Any:
    """The Keras layer; PReLU shares its slopes over the places of a picture and over members."""
    import keras

    if kind == "relu":
        return keras.layers.ReLU()
    if kind == "leaky-relu":
        return keras.layers.LeakyReLU(negative_slope=slope)
    # Axes are counted without the batch; None for a dense layer's [b, units].
    shared = list(range(1, rank - 1)) or None
    return keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(slope), shared_axes=shared)
