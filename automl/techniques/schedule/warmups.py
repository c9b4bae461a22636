"""Schedules that rise before they fall."""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Float, TrainPlan, technique
from automl.techniques.schedule import decays

WARMUP = Float(0.01, 0.3, 0.05, log=True)


@technique(
    id="warmup-cosine", stage="schedule", slot="schedule", params={"warmup": WARMUP, "final": decays.FINAL}, default=True,
    reference="arXiv:1706.02677 (warm-up); arXiv:1608.03983",
)
def warmup_cosine(plan: TrainPlan, *, warmup: float, final: float) -> TrainPlan:
    """Warm-up and cosine: a line up to the peak, then half a cosine wave down.

    What it changes: in the first `warmup` share of the steps η(t) = η t / warmup; then cosine decay over the rest. Why
    it may help: first gradients are large and adaptive optimizers' averages empty; a gentle start allows a higher
    peak, which learns faster and generalises better. The usual schedule of modern nets, and the default here. When it
    hurts: as every schedule that ends at zero, stopping early wastes it. How: as written.
    """
    return _curve(plan, "cosine", warmup=warmup, final=final)


@technique(
    id="warmup-linear", stage="schedule", slot="schedule", params={"warmup": WARMUP, "final": decays.FINAL},
    reference="arXiv:1810.04805 (section A.2)",
)
def warmup_linear(plan: TrainPlan, *, warmup: float, final: float) -> TrainPlan:
    """Warm-up and line: a line up to the peak, then a line down.

    What it changes: in the first `warmup` share η(t) = η t / warmup; then a line to `final` · η. Why it may help: the
    warm-up as in warmup-cosine; the straight fall spends less time at the extremes, and does as well in short
    trainings. When it hurts: as every schedule that ends at zero, stopping early wastes it. How: as written.
    """
    return _curve(plan, "linear", warmup=warmup, final=final)


@technique(
    id="one-cycle", stage="schedule", slot="schedule",
    params={"rise": Float(0.1, 0.5, 0.3), "start": Float(0.01, 0.3, 0.04, log=True)}, reference="arXiv:1708.07120",
)
def one_cycle(plan: TrainPlan, *, rise: float, start: float) -> TrainPlan:
    """One cycle: a long cosine rise to a high peak, and a cosine fall to almost nothing.

    What it changes: for the first `rise` share the rate climbs from start · η to η, then falls to 10⁻⁴ · start · η,
    both along half a cosine. Why it may help: a peak several times higher than a constant rate could bear regularises
    and learns in a fifth of the epochs ("super-convergence"): the schedule of the CIFAR speed records. When it hurts:
    the peak must be near the largest stable rate to pay off. How: the rate of the paper in its usual cosine form;
    momentum isn't cycled.
    """
    return _curve(plan, "cycle", rise=rise, start=start)


def _curve(plan: TrainPlan, name: str, **params: float) -> TrainPlan:
    return plan.replace(schedule=Component(f"{__name__}:make", {"name": name, **params}))


def make(*, peak: float, steps: int, steps_per_epoch: int, name: str, **params: float) -> Any:
    """The Keras schedule for one of this module's curves. A warm-up begins one step's worth above 0, so that the first
    step learns."""
    from automl.layers import schedules

    if "warmup" in params:
        params = {**params, "first": 1 / max(1.0, params["warmup"] * steps)}
    return schedules.Curve(peak, steps, f"{__name__}:{name}", params)


def _rising(t: Any, warmup: float, first: float) -> Any:
    from keras import ops

    return ops.minimum(1.0, first + (1 - first) * t / warmup)


def cosine(t: Any, *, warmup: float, final: float, first: float) -> Any:
    from keras import ops

    fall = decays.cosine(ops.maximum(0.0, (t - warmup) / (1 - warmup)), final=final)
    return ops.where(t < warmup, _rising(t, warmup, first), fall)


def linear(t: Any, *, warmup: float, final: float, first: float) -> Any:
    from keras import ops

    fall = decays.polynomial(ops.maximum(0.0, (t - warmup) / (1 - warmup)), power=1.0, final=final)
    return ops.where(t < warmup, _rising(t, warmup, first), fall)


def cycle(t: Any, *, rise: float, start: float) -> Any:
    from keras import ops

    up = 1 + (start - 1) * decays.cosine(ops.minimum(1.0, t / rise), final=0.0)
    end = start * 1e-4
    down = decays.cosine(ops.maximum(0.0, (t - rise) / (1 - rise)), final=end)
    return ops.where(t < rise, up, down)
