"""Averages the weights of the last epochs (SWA).

What it changes: from the share `start` of the epochs on, the plain mean of the weights at the epochs' ends is
evaluated and kept; training goes on with the raw weights. Why it may help: single epochs sit at the rim of a flat
basin, their mean in the middle, which generalises better; it does for one model what an ensemble of its epochs would
do. When it hurts: averaging over epochs in which the network still learns a lot mixes good weights with old ones; with
a schedule that ends at zero the last epochs hardly differ.

How: mean ← mean + (w − mean) / n; batch-norm statistics are taken anew from 20 training batches, since those of
averaged weights are not the average of statistics.
"""

from __future__ import annotations

import math
from typing import Any

from automl.catalog import Component, Float, TrainPlan, technique


@technique(
    id="swa",
    stage="averaging",
    slot="averaging",
    params={"start": Float(0.5, 0.9, 0.75)},
    cost=1.05,
    reference="arXiv:1803.05407",
)
def apply(plan: TrainPlan, *, start: float) -> TrainPlan:
    return plan.replace(averaging=Component(f"{__name__}:average", {"start": start}))


def average(*, start: float, epochs: int, steps_per_epoch: int) -> Any:
    from automl.layers import averagers

    return averagers.EpochMean(first_epoch=max(1, math.ceil(start * epochs)))
