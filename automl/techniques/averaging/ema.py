"""Evaluates and keeps a running average of the weights instead of the weights themselves.

What it changes: beside each weight w an average a ← d a + (1 − d) w is kept, step by step; evaluation and the final
model use a, training goes on with w. Why it may help: the average lies nearer the middle of the basin around which the
noisy steps wander, which is worth some tenths of a point and makes validation curves smooth, as if the rate had been
lowered already. When it hurts: it lags by 1 / (1 − d) steps, so a training of few steps is judged by its past; behind
a schedule that ends at zero the gain is small.

How: `horizon` is the share of the training's steps over which the average reaches back: d = 1 − 1 / max(2, horizon ·
steps). Until three times as many steps have passed (then the start weighs under 5 %) the raw weights count. Statistics
of batch-norm are running averages already and are taken as they are.
"""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Float, TrainPlan, technique

SETTLED = 3.0
"""Horizons after which the start no longer counts: e⁻³ is 5 %."""


@technique(
    id="ema", stage="averaging", slot="averaging", params={"horizon": Float(0.005, 0.2, 0.03, log=True)}, cost=1.05,
    reference="Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging (1992); arXiv:1703.01780",
)
def apply(plan: TrainPlan, *, horizon: float) -> TrainPlan:
    plan = plan.extended("optimizer_wrappers", Component(f"{__name__}:tracking"))
    plan = plan.extended("callbacks", Component(f"{__name__}:momentum", {"horizon": horizon}))
    return plan.replace(averaging=Component(f"{__name__}:average", {"horizon": horizon}))


def tracking(optimizer: Any) -> Any:
    """The optimizer, which will keep an average of the weights (not built yet)."""
    optimizer.use_ema = True
    return optimizer


def decay(horizon: float, steps: int) -> float:
    """d of the running average."""
    return 1 - 1 / max(2.0, horizon * steps)


def momentum(*, horizon: float, epochs: int, steps_per_epoch: int) -> Any:
    from automl.layers import callbacks

    return callbacks.AveragingMomentum(decay(horizon, epochs * steps_per_epoch))


def average(*, horizon: float, epochs: int, steps_per_epoch: int) -> Any:
    from automl.layers import averagers

    return averagers.RunningAverage(SETTLED * max(2.0, horizon * epochs * steps_per_epoch) / steps_per_epoch)
