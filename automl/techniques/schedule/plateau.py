"""Lowers the rate when the score stops getting better.

What it changes: after `patience` epochs without a better validation score the rate is multiplied by `factor`, down to
a thousandth of the peak. Why it may help: it adapts to the data instead of to a fixed length, so that a long training
ends by itself at small rates. When it hurts: noisy scores lower the rate too soon; a budget that ends first leaves the
rate high.

How: a better score is one larger than the best so far; after a fall, patience starts again.
"""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Float, Int, TrainPlan, technique

LEAST = 1e-3
"""Share of the peak under which the rate never falls."""


@technique(
    id="reduce-on-plateau", stage="schedule", slot="schedule",
    params={"patience": Int(1, 12, 4), "factor": Float(0.1, 0.7, 0.3, log=True)},
    reference="Goodfellow, Bengio, Courville: Deep Learning (2016), section 8.3.1",
)
def apply(plan: TrainPlan, *, patience: int, factor: float) -> TrainPlan:
    made = Component(f"{__name__}:make", {"patience": patience, "factor": factor})
    return plan.replace(schedule=made, schedule_by_score=True)


def make(*, peak: float, steps: int, steps_per_epoch: int, patience: int, factor: float) -> Any:
    """A Keras callback that sets the optimizer's rate."""
    from automl.layers import callbacks

    return callbacks.ReduceOnPlateau(patience=patience, factor=factor, least=peak * LEAST)
