"""Activations of the form x · gate(x)."""

from __future__ import annotations

from automl.catalog import Component, TrainPlan, technique

LAYER = "automl.techniques.activation.exponential:layer"


@technique(id="swish", stage="activation", slot="activation", cost=1.15, reference="arXiv:1710.05941")
def swish(plan: TrainPlan) -> TrainPlan:
    """Swish (SiLU): x · sigmoid(x).

    What it changes: a smooth activation that dips slightly below 0 before it rises. Why it may help: smooth losses and
    gradients through negative inputs; deeper and mobile convnets gain some tenths of a point over ReLU. When it hurts:
    costs a sigmoid; 8-bit runtimes may be slower than with ReLU. How: x / (1 + e⁻ˣ).
    """
    return plan.replace(activation=Component(LAYER, {"name": "silu"}))


@technique(id="gelu", stage="activation", slot="activation", cost=1.25, reference="arXiv:1606.08415")
def gelu(plan: TrainPlan) -> TrainPlan:
    """GELU: x · Φ(x), each input weighted by its rank among normal values.

    What it changes: like swish, with the normal distribution function as its gate. Why it may help: the usual
    activation of transformers and ConvNeXt; smooth, and slightly better than ReLU there. When it hurts: the error
    function is slow on CPUs. How: x Φ(x) = ½ x (1 + erf(x / √2)).
    """
    return plan.replace(activation=Component(LAYER, {"name": "gelu"}))


@technique(id="hard-swish", stage="activation", slot="activation", cost=1.1, reference="arXiv:1905.02244")
def hard_swish(plan: TrainPlan) -> TrainPlan:
    """Hard swish: swish with its sigmoid replaced by a clipped line.

    What it changes: the gate becomes min(max(x + 3, 0), 6) / 6. Why it may help: close to swish in accuracy at the
    cost of a clip, made for mobile processors (MobileNetV3). When it hurts: measured in 8 bits it can be slower than
    float, so choose by measuring. How: x · relu6(x + 3) / 6.
    """
    return plan.replace(activation=Component(LAYER, {"name": "hard_silu"}))
