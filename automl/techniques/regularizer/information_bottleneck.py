"""Lets only so much about the input reach the head: a variational bottleneck on the last representation.

What it changes: ahead of the head stands z = μ(x) + σ(x) ε, `units` numbers with learned noise, and the loss has one more
term, `weight` · KL(N(μ, σ²) ‖ N(0, 1)). Why it may help: each nat that z tells about x has to be paid for, so what doesn't
help the prediction is left out; smoother and better calibrated models on noisy data, some robustness. When it hurts: too
large a weight makes every z alike, and the model predicts the mean; small data sets whose every hint is needed. How: KL =
½ Σ (μ² + σ² − log σ² − 1), the mean over the batch, in nats; one draw of ε for each example and step; σ begins at e⁻². The
exported model has μ alone, a dense layer.
"""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, Float, TrainPlan, technique


@technique(
    id="information-bottleneck", stage="regularizer",
    params={"weight": Float(1e-5, 1e-1, 1e-3, log=True), "units": Categorical((16, 32, 64, 128), 32)}, cost=1.05,
    reference="Alemi et al.: Deep Variational Information Bottleneck, arXiv:1612.00410 (2017)",
)
def apply(plan: TrainPlan, *, weight: float, units: int) -> TrainPlan:
    return plan.extended("representation", Component(f"{__name__}:bottleneck", {"weight": weight, "units": units}))


def bottleneck(x: Any, *, weight: float, units: int, seed: int) -> Any:
    from automl.layers import noise

    return noise.GaussianBottleneck(units, weight, seed=seed, name="information_bottleneck")(x)
