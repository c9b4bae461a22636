"""Stages, in which techniques are applied in this order, and slots, each of which holds exactly one technique."""

from __future__ import annotations

import dataclasses

STAGES = (
    "task", "data", "architecture", "init", "activation", "norm", "regularizer", "optimizer", "schedule", "gradient",
    "averaging", "precision", "loss", "compress",
)


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place that takes one technique; an optional one may stay empty."""

    name: str
    optional: bool
    meaning: str


SLOTS: dict[str, Slot] = {
    slot.name: slot
    for slot in (
        Slot("scaling", False, "how numeric columns are scaled (tables); one technique"),
        Slot("resampling", True, "how training rows are resampled"),
        Slot("activation", False, "the non-linearity of hidden layers"),
        Slot("norm", True, "the normalisation of hidden layers"),
        Slot("init", False, "how kernels are initialised"),
        Slot("penalty", True, "the penalty on weights in the loss"),
        Slot("reparametrisation", True, "how kernels are reparametrised"),
        Slot("optimizer", False, "the optimizer"),
        Slot("schedule", True, "the learning-rate schedule"),
        Slot("clipping", True, "how gradients are clipped"),
        Slot("averaging", True, "how weights are averaged"),
        Slot("precision", True, "the arithmetic of training"),
        Slot("mixing", True, "how training examples are mixed"),
        Slot("loss", False, "the loss"),
    )
}
