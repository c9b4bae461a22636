"""Activations with two bounds."""

from __future__ import annotations

from automl.catalog import Component, TrainPlan, technique

LAYER = "automl.techniques.activation.exponential:layer"


@technique(
    id="tanh", stage="activation", slot="activation", cost=1.1,
    reference="LeCun, Bottou, Orr, Müller: Efficient BackProp (1998)",
)
def tanh(plan: TrainPlan) -> TrainPlan:
    """Hyperbolic tangent: a smooth step from −1 to 1.

    What it changes: outputs are bounded and centred on 0. Why it may help: smooth regressions on few rows, and 8-bit
    ranges that are known beforehand. When it hurts: gradients fade in saturated units, so deep nets learn slowly; use
    `glorot` and few layers. How: (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).
    """
    return plan.replace(activation=Component(LAYER, {"name": "tanh"}))


@technique(
    id="sigmoid", stage="activation", slot="activation", cost=1.1,
    reference="Rumelhart, Hinton, Williams: Learning representations by back-propagating errors (1986)",
)
def sigmoid(plan: TrainPlan) -> TrainPlan:
    """Logistic sigmoid: a smooth step from 0 to 1.

    What it changes: outputs are bounded and positive. Why it may help: hardly ever inside a network today; it is
    offered for comparison and for shallow nets whose hidden units are to be read as switches. When it hurts: its slope
    is at most ¼, so gradients fade by that factor in each layer, and outputs are not centred. How: 1 / (1 + e⁻ˣ).
    """
    return plan.replace(activation=Component(LAYER, {"name": "sigmoid"}))
