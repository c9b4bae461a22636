"""Disturbs columns of tables in training: values swapped between rows, and Gaussian noise.

What it changes: in each batch every cell is replaced, with probability `swap`, by the same column's value of another
row of the batch; then Gaussian noise of deviation `noise` is added to the (scaled) numeric columns. Why it may help:
the network can't rely on single cells, which is the table's counterpart of augmentation; swapped values are always
plausible, since each column keeps its distribution. When it hurts: columns that only make sense together (longitude
and latitude) lose their meaning; noise blurs columns of few values.

How: for each column the rows are permuted, and a cell takes the permuted value where a uniform draw is below `swap`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Modality

Inputs = dict[str, NDArray[Any]]
Step = Callable[[Inputs, NDArray[Any], np.random.Generator], tuple[Inputs, NDArray[Any]]]


@technique(
    id="tabular-noise",
    stage="data",
    modalities=(Modality.TABLE,),
    params={"swap": Float(0.0, 0.3, 0.05), "noise": Float(0.0, 0.3, 0.02)},
    reference="arXiv:2106.15147 (swap noise)",
    cost=1.2,
)
def apply(plan: TrainPlan, *, swap: float, noise: float) -> TrainPlan:
    return plan.extended("batch_steps", Component(f"{__name__}:disturb", {"swap": swap, "noise": noise}))


def disturb(*, swap: float, noise: float) -> Step:
    def step(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator) -> tuple[Inputs, NDArray[Any]]:
        changed = dict(inputs)
        for name in ("numeric", "categorical"):
            if name in inputs and swap > 0:
                x = inputs[name]
                other = rng.permuted(x, axis=0)
                changed[name] = np.where(rng.random(x.shape, np.float32) < swap, other, x)
        if "numeric" in inputs and noise > 0:
            drawn = rng.standard_normal(inputs["numeric"].shape, np.float32)
            changed["numeric"] = changed["numeric"] + np.float32(noise) * drawn
        return changed, y

    return step
