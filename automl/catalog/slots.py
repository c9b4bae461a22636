"""Stages, in which techniques are applied in this order, slots, each of which holds exactly one technique, and the parts of
a network that only some families have."""

from __future__ import annotations

import dataclasses

STAGES = (
    "task", "data", "architecture", "block", "attention", "init", "activation", "norm", "regularizer", "optimizer",
    "schedule", "gradient", "averaging", "precision", "loss", "search", "ensemble", "compress", "export",
)

AFTER_TRAINING = frozenset({"task", "search", "ensemble", "compress", "export"})
"""Stages whose techniques are no dimension of a trial's recipe."""

STEPS = "steps"
"""The part that a technique shapes which says nothing else, and that a family has which isn't fitted in another way."""

HIDDEN = "hidden-layers"
"""Nearly every network has them; of some families it depends on a parameter (see `Architecture.flat`)."""

PARTS: dict[str, str] = {
    STEPS: "training by gradient steps",
    HIDDEN: "hidden layers",
    "convolution": "convolutions",
    "block": "stages of blocks that are chosen",
    "channel-gates": "channels that can be gated",
    "cell": "a recurrent cell",
    "sequence-pooling": "a sequence of states that is summed up",
    "attention": "attention",
    "positions": "an order of tokens that attention doesn't see",
    "token-states": "a state for each token of a text",
    "halting": "a block that may be repeated for each token",
}
"""Part of a network or its training → what a family that has it has, for "the architecture mlp lacks …". A family says
which parts it `uses`; a technique that shapes a part is proposed with those families only."""


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place that takes one technique; an optional one may stay empty."""

    name: str
    optional: bool
    meaning: str
    part: str | None = STEPS
    """The part (see `PARTS`) that its techniques shape; None: every family has it."""


SLOTS: dict[str, Slot] = {
    slot.name: slot
    for slot in (
        Slot("scaling", False, "how numeric columns are scaled (tables); one technique", None),
        Slot("resampling", True, "how training rows are resampled"),
        Slot("block", False, "the block that a network's stages repeat", "block"),
        Slot("convolution", True, "what stands in the place of plain convolutions", "convolution"),
        Slot("cell", False, "the recurrent cell", "cell"),
        Slot("attention", False, "how tokens attend to each other", "attention"),
        Slot("activation", False, "the non-linearity of hidden layers", HIDDEN),
        Slot("norm", True, "the normalisation of hidden layers", HIDDEN),
        Slot("init", False, "how hidden layers' kernels are initialised", HIDDEN),
        Slot("penalty", True, "the penalty on weights in the loss"),
        Slot("reparametrisation", True, "how hidden layers' kernels are reparametrised", HIDDEN),
        Slot("optimizer", False, "the optimizer"),
        Slot("schedule", True, "the learning-rate schedule"),
        Slot("clipping", True, "how gradients are clipped"),
        Slot("averaging", True, "how weights are averaged"),
        Slot("precision", True, "the arithmetic of training"),
        Slot("mixing", True, "how training examples are mixed"),
        Slot("loss", False, "the loss"),
    )
}
