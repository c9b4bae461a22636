"""Bounds gradients, so that a single batch can't throw the weights away.

What it changes: by `mode`, value: each entry is cut to ±threshold; norm: each variable's gradient is shortened to the
threshold; global-norm: all gradients together are shortened by one factor, which keeps their direction; adaptive: each
variable's gradient is shortened to `threshold` / 100 of its weights' own norm (AGC, for kernels unit by unit).

Why it may help: rare, steep places of the loss (recurrent nets, high rates, outliers, small batches) would otherwise
end in NaN or undo what was learned. When it hurts: a threshold in the range of ordinary gradients changes SGD's
effective rate and biases its direction; under Adam, whose steps don't depend on the gradient's size, it acts on
outliers alone.

How: global-norm: g ← g · min(1, c / ‖g‖), ‖g‖ over all variables. Adaptive: g_i ← g_i · min(1, λ max(‖w_i‖, 10⁻³) /
‖g_i‖) for each unit i.
"""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, Float, TrainPlan, technique

OPTIONS = {"value": "clipvalue", "norm": "clipnorm", "global-norm": "global_clipnorm"}


@technique(
    id="gradient-clipping", stage="gradient", slot="clipping",
    params={
        "mode": Categorical(("value", "norm", "global-norm", "adaptive"), "global-norm"),
        "threshold": Float(0.1, 10.0, 1.0, log=True),
    },
    reference="arXiv:1211.5063; arXiv:2102.06171 (adaptive)",
)
def apply(plan: TrainPlan, *, mode: str, threshold: float) -> TrainPlan:
    if mode == "adaptive":
        return plan.extended("optimizer_wrappers", Component(f"{__name__}:adaptive", {"ratio": threshold / 100}))
    return plan.with_options(**{OPTIONS[mode]: threshold})


def adaptive(optimizer: Any, *, ratio: float) -> Any:
    """The optimizer with adaptive clipping of its gradients."""
    from automl.layers import gradients

    return gradients.transformed(optimizer, lambda gradient, variable: gradients.clip_to_weights(gradient, variable, ratio))
