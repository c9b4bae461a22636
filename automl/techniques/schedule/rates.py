"""Which rate a training has: found by trial, scaled with the batch, or graded by depth."""

from __future__ import annotations

import math
from typing import Any

from automl.catalog import Categorical, Component, Float, TrainPlan, technique


@technique(
    id="lr-range-test", stage="schedule", params={"share": Float(0.02, 0.5, 0.1)}, cost=1.1, reference="arXiv:1506.01186",
    conflicts={"batch-lr-scaling": "the rate is found at the batch size that is used"},
)
def lr_range_test(plan: TrainPlan, *, share: float) -> TrainPlan:
    """Learning-rate range test: a short trial at rising rates sets the peak rate before training.

    What it changes: up to 100 steps are taken at rates that rise from a hundredth to a thousand times the optimizer's own;
    the rate at which the loss was least is a little beyond where stability ends (a loss shows it some steps late), and
    `share` of it becomes the peak of the schedule. Weights, statistics and random states then return to where they were.
    Why it may help: the rate is the setting that matters most, and its order of magnitude shows within seconds. When it
    hurts: on few rows the trial costs as much as some epochs; with very noisy losses its end is a matter of chance, and a
    search over rates does the same more thoroughly. How: losses are smoothed by a running mean of 0.7; the trial ends when
    that is four times its least. Where no rate lowers the loss the optimizer's own is kept. A training that goes on from a
    checkpoint keeps the rate that it found.
    """
    return plan.replace(rate_search=Component("automl.layers.schedules:RangeTest", {"steps": 100, "share": share}))


@technique(
    id="batch-lr-scaling", stage="gradient",
    params={"rule": Categorical(("linear", "square-root"), "square-root"),
            "reference_batch": Categorical((32, 64, 128, 256, 512), 128)},
    reference="arXiv:1706.02677 (linear); arXiv:1404.5997 (square root)",
)
def batch_lr_scaling(plan: TrainPlan, *, rule: str, reference_batch: int) -> TrainPlan:
    """Batch scaling: the rate grows with the batch.

    What it changes: the peak rate is multiplied by B / reference, or by its square root, where B is the batch that is used
    (the recipe's, half of it after an out-of-memory, all rows where they are fewer), times the batches whose gradients are
    accumulated. Why it may help: a mean over more rows is less noisy, so that longer
    steps are safe; without it a larger batch means fewer steps of the same length. It lets batch and rate be chosen apart.
    When it hurts: beyond some thousand rows a batch the linear rule breaks down; Adam-like optimizers follow the square
    root. How: as written; at B = reference nothing changes.
    """
    factor = Component(f"{__name__}:factor_of_batch", {"rule": rule, "reference_batch": reference_batch})
    return plan.replace(rate_of_batch=factor)


def factor_of_batch(*, rule: str, reference_batch: int, rows: int) -> float:
    """The factor on the rate of an update made of so many rows."""
    ratio = rows / reference_batch
    return ratio if rule == "linear" else math.sqrt(ratio)


@technique(
    id="layerwise-lr-decay", stage="schedule", params={"decay": Float(0.5, 0.99, 0.85)},
    reference="arXiv:1801.06146; arXiv:2003.10555 (section 3.3)",
)
def layerwise_lr_decay(plan: TrainPlan, *, decay: float) -> TrainPlan:
    """Layer-wise rates: the farther from the output, the smaller the rate.

    What it changes: the rate of a layer l levels below the last is decay^l times the schedule's, for its steps and its
    decoupled weight decay. Why it may help: early layers learn general features that should move little once they are good,
    which is what fine-tuning lives on; it also tempers the early layers of deep stacks. When it hurts: trained from scratch,
    the first layers of a deep net may hardly learn at all. How: levels are counted by kernels and embedding tables, from the
    input on; biases, normalisations and scales go with the kernel before them.
    """
    return plan.extended("optimizer_wrappers", Component(f"{__name__}:graded", {"decay": decay}))


def graded(optimizer: Any, *, decay: float) -> Any:
    """The optimizer with rates by depth."""
    from automl.layers import optimizers

    return optimizers.rates_by_depth(optimizer, decay)
