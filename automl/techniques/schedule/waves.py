"""Schedules that rise and fall several times."""

from __future__ import annotations

import math
from typing import Any

from automl.catalog import Categorical, Component, Float, Int, TrainPlan, technique


@technique(
    id="cosine-restarts", stage="schedule", slot="schedule",
    params={"cycles": Int(2, 5, 3), "growth": Float(1.0, 2.0, 2.0), "shrink": Float(0.3, 1.0, 1.0)},
    reference="arXiv:1608.03983",
)
def cosine_restarts(plan: TrainPlan, *, cycles: int, growth: float, shrink: float) -> TrainPlan:
    """Cosine decay with warm restarts (SGDR): down to zero, and at once up again.

    What it changes: `cycles` cosine decays, each `growth` times as long as the one before, from a peak that shrinks by
    `shrink`. Why it may help: each end is a usable model, so a good one is there early; a restart may leave a narrow
    minimum. When it hurts: most of a short budget is spent recovering from restarts. How: cycle i has the share
    growth^i / Σ growth^j of the steps.
    """
    return _curve(plan, "restarts", cycles=cycles, growth=growth, shrink=shrink)


@technique(
    id="cyclical", stage="schedule", slot="schedule",
    params={
        "shape": Categorical(("triangular", "halving", "log-cosine"), "log-cosine"),
        "cycles": Int(2, 6, 4),
        "low": Float(0.0, 0.3, 0.0),
    },
    reference="arXiv:1506.01186; arXiv:2407.04491 (log-cosine)",
)
def cyclical(plan: TrainPlan, *, shape: str, cycles: int, low: float) -> TrainPlan:
    """Cyclical rates: the rate swings between a lower bound and the peak.

    What it changes: triangular: straight lines up and down, `cycles` times; halving: each peak half as high as the one
    before; log-cosine: η ½ (1 − cos(2π log₂(1 + (2^cycles − 1) t))), waves that each last twice as long as the one
    before and end at the bottom (RealMLP's schedule, with 4 waves). `low` is the bound, as a share of the peak. Why it
    may help: high rates leave poor minima, low ones collect what was gained, and an early wave already ends in a
    usable model. When it hurts: with few epochs the waves are too short to settle. How: as written.
    """
    return _curve(plan, "waves", shape=shape, cycles=cycles, low=low)


def _curve(plan: TrainPlan, name: str, **params: Any) -> TrainPlan:
    return plan.replace(schedule=Component(f"{__name__}:make", {"name": name, **params}))


def make(*, peak: float, steps: int, steps_per_epoch: int, name: str, **params: Any) -> Any:
    """The Keras schedule for one of this module's curves."""
    from automl.layers import schedules

    return schedules.Curve(peak, steps, f"{__name__}:{name}", params)


def restarts(t: Any, *, cycles: int, growth: float, shrink: float) -> Any:
    from keras import ops

    lengths = [growth**i for i in range(cycles)]
    ends = [sum(lengths[: i + 1]) / sum(lengths) for i in range(cycles)]
    value = 0.0 * t
    for i, end in enumerate(ends):
        begin = ends[i - 1] if i else 0.0
        wave = shrink**i * 0.5 * (1 + ops.cos(math.pi * (t - begin) / (end - begin)))
        # The last cycle holds its end.
        inside = (t >= begin) & ((t < end) if i < cycles - 1 else (t <= 1.0))
        value = ops.where(inside, wave, value)
    return value


def waves(t: Any, *, shape: str, cycles: int, low: float) -> Any:
    from keras import ops

    if shape == "log-cosine":
        phase = ops.log2(1 + (2.0**cycles - 1) * t)
        return low + (1 - low) * 0.5 * (1 - ops.cos(2 * math.pi * phase))
    position = t * cycles
    number = ops.minimum(ops.floor(position), cycles - 1)
    height = 1 - ops.abs(2 * (position - number) - 1)
    if shape == "halving":
        height = height * ops.power(0.5, number)
    return low + (1 - low) * height
