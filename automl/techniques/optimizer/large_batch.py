"""Optimizers that scale each layer's step by the size of its weights, made for large batches."""

from __future__ import annotations

from automl.catalog import Component, Float, TrainPlan, technique
from automl.techniques.optimizer import adaptive


@technique(
    id="lamb", stage="optimizer", slot="optimizer",
    params={"learning_rate": Float(3e-4, 5e-2, 5e-3, log=True), "beta_2": adaptive.BETA_2}, reference="arXiv:1904.00962",
)
def lamb(plan: TrainPlan, *, learning_rate: float, beta_2: float) -> TrainPlan:
    """LAMB: Adam's direction, at a length in proportion to the layer's weights.

    What it changes: Adam's step u = m̂ / (√v̂ + ε) of each variable is multiplied by its trust ratio ‖w‖ / ‖u‖ (1 where one
    of them is 0), so that every layer moves by the share η of its norm. Why it may help: with batches of thousands of rows
    the rate must be high, and a layer whose weights are small would be thrown about by it; LAMB trained BERT at batches of
    32,000. When it hurts: on small batches it is rarely better than AdamW, and variables that begin near 0 move slowly at
    first. How: `keras.optimizers.Lamb`, with β₁ = 0.9 and ε = 10⁻⁸; decay comes from `weight-decay` and isn't scaled by the
    ratio.
    """
    options = {"beta_2": beta_2, "epsilon": 1e-8}
    return plan.replace(optimizer=Component("keras.optimizers:Lamb", options), learning_rate=learning_rate)


@technique(
    id="lars", stage="optimizer", slot="optimizer",
    params={
        "learning_rate": Float(0.1, 30.0, 3.0, log=True), "momentum": Float(0.5, 0.99, 0.9),
        "trust": Float(1e-4, 1e-1, 1e-2, log=True), "decay": Float(1e-6, 1e-2, 1e-4, log=True),
    },
    reference="arXiv:1708.03888", conflicts={"weight-decay": "it decays weights by itself"},
)
def lars(plan: TrainPlan, *, learning_rate: float, momentum: float, trust: float, decay: float) -> TrainPlan:
    """LARS: momentum, with a rate for each layer from the ratio of its weights to their gradient.

    What it changes: of each kernel the local rate is λ = trust ‖w‖ / (‖g‖ + β ‖w‖), then v ← m v + η λ (g + β w) and w ← w −
    v. Why it may help: a step's length no longer depends on the gradient's size, so layers whose gradients are large beside
    their weights don't diverge at the high rates that large batches need. When it hurts: on small batches plain momentum
    generalises as well with less tuning; the rate means something else than SGD's. How: as written; biases and scales take
    plain momentum steps without decay.
    """
    options = {"momentum": momentum, "trust": trust, "decay": decay}
    return plan.replace(optimizer=Component("automl.layers.optimizers:Lars", options), learning_rate=learning_rate)
