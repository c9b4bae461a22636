"""Schedules that fall from the peak to near zero."""

from __future__ import annotations

import math
from typing import Any

from automl.catalog import Component, Float, Int, TrainPlan, technique

FINAL = Float(0.0, 0.2, 0.0)


@technique(
    id="step-decay",
    stage="schedule",
    slot="schedule",
    params={"drops": Int(1, 5, 2), "factor": Float(0.05, 0.7, 0.1, log=True)},
    reference="arXiv:1512.03385 (section 3.4)",
)
def step_decay(plan: TrainPlan, *, drops: int, factor: float) -> TrainPlan:
    """Step decay: the rate falls by a factor a few times, at equal distances.

    What it changes: with t from 0 to 1 over the training, η(t) = η factor^⌊t (drops + 1)⌋. Why it may help: long
    stretches at one rate explore, each fall settles; the classical schedule of convnets. When it hurts: the falls have
    to suit the length; under a short budget smooth decays are better. How: as written.
    """
    return _curve(plan, "step", drops=drops, factor=factor)


@technique(
    id="exponential-decay", stage="schedule", slot="schedule", params={"final": Float(1e-4, 0.5, 1e-2, log=True)},
    reference="Goodfellow, Bengio, Courville: Deep Learning (2016), section 8.3.1",
)
def exponential_decay(plan: TrainPlan, *, final: float) -> TrainPlan:
    """Exponential decay: the rate falls by the same share in every step.

    What it changes: η(t) = η final^t, where `final` is the share of the peak left at the end. Why it may help: smooth,
    with most of the steps at small rates, which suits optimizers that are fast in the beginning. When it hurts: the
    peak lasts only briefly, so hard problems explore too little. How: as written.
    """
    return _curve(plan, "exponential", final=final)


@technique(
    id="cosine-decay", stage="schedule", slot="schedule", params={"final": FINAL}, reference="arXiv:1608.03983",
)
def cosine_decay(plan: TrainPlan, *, final: float) -> TrainPlan:
    """Cosine decay: half a cosine wave from the peak to (nearly) nothing.

    What it changes: η(t) = η (final + (1 − final) ½ (1 + cos πt)). Why it may help: long near the peak, long near
    zero, no parameter to tune; hard to beat whatever the length. When it hurts: only a training that is carried to its
    end profits; one stopped half-way was at a high rate. How: as written.
    """
    return _curve(plan, "cosine", final=final)


@technique(
    id="polynomial-decay", stage="schedule", slot="schedule", params={"power": Float(0.5, 3.0, 1.0), "final": FINAL},
    reference="arXiv:1606.00915 (section 4.1)",
)
def polynomial_decay(plan: TrainPlan, *, power: float, final: float) -> TrainPlan:
    """Polynomial decay: a straight line, or a curve of it, from the peak to the end.

    What it changes: η(t) = η (final + (1 − final) (1 − t)^power). Why it may help: power 1, a plain line to zero, is
    as good as a cosine in many short trainings and easier to reason about. When it hurts: a power much below 1 ends
    abruptly. How: as written.
    """
    return _curve(plan, "polynomial", power=power, final=final)


def _curve(plan: TrainPlan, name: str, **params: float) -> TrainPlan:
    return plan.replace(schedule=Component(f"{__name__}:make", {"name": name, **params}))


def make(*, peak: float, steps: int, steps_per_epoch: int, name: str, **params: float) -> Any:
    """The Keras schedule for one of this module's curves."""
    from automl.layers import schedules

    return schedules.Curve(peak, steps, f"{__name__}:{name}", params)


def step(t: Any, *, drops: int, factor: float) -> Any:
    from keras import ops

    return ops.power(float(factor), ops.minimum(ops.floor(t * (drops + 1)), drops))


def exponential(t: Any, *, final: float) -> Any:
    from keras import ops

    return ops.power(float(final), t)


def cosine(t: Any, *, final: float) -> Any:
    from keras import ops

    return final + (1 - final) * 0.5 * (1 + ops.cos(math.pi * t))


def polynomial(t: Any, *, power: float, final: float) -> Any:
    from keras import ops

    return final + (1 - final) * ops.power(1 - t, power)
