"""Noise inside the network during training."""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Modality


@technique(
    id="dropout", stage="regularizer", params={"rate": Float(0.05, 0.6, 0.15)}, cost=1.05,
    reference="Srivastava et al.: Dropout (JMLR 2014)",
)
def dropout(plan: TrainPlan, *, rate: float) -> TrainPlan:
    """Dropout: in training, units are silenced at random.

    What it changes: behind each dense block, and in front of the head of convnets, every unit is set to 0 with
    probability `rate` and the others are scaled by 1 / (1 − rate). Why it may help: units can't rely on each other, as
    if exponentially many thinned networks were averaged; the first remedy against overfitting on tables. When it
    hurts: small networks and short trainings lack the capacity or the time. How: inside convolutions neighbouring
    pixels carry the same information, so it isn't used there; see `spatial-dropout`.
    """
    return plan.extended("dropout", Component(f"{__name__}:dense_dropout", {"rate": rate}))


@technique(
    id="spatial-dropout",
    stage="regularizer",
    modalities=(Modality.IMAGE, Modality.SERIES),
    params={"rate": Float(0.02, 0.3, 0.1)},
    cost=1.05,
    reference="arXiv:1411.4280",
)
def spatial_dropout(plan: TrainPlan, *, rate: float) -> TrainPlan:
    """Spatial dropout: in training, whole channels are silenced at random.

    What it changes: behind each convolution block a channel is set to 0 at all places or steps with probability `rate`, the
    others are scaled by 1 / (1 − rate). Why it may help: neighbouring pixels are alike, so dropping single ones hides
    nothing; dropping channels does. When it hurts: narrow networks, and together with batch-norm, whose statistics
    then differ between training and inference; keep the rate low. How: one draw for each example and channel.
    """
    return plan.extended("dropout", Component(f"{__name__}:channel_dropout", {"rate": rate}))


@technique(
    id="stochastic-depth", stage="regularizer", params={"rate": Float(0.02, 0.5, 0.1)}, reference="arXiv:1603.09382",
    conflicts={
        "tabm": "it has no residual branches", "ds-cnn": "it has no residual branches", "fcn": "it has no residual branches",
        "rocket": "it has no residual branches", "recurrent": "it has no residual branches",
    },
)
def stochastic_depth(plan: TrainPlan, *, rate: float) -> TrainPlan:
    """Stochastic depth: in training, residual branches are skipped at random.

    What it changes: for each example a block's branch is dropped with a probability that rises linearly from near 0 in
    the first block to `rate` in the last; the others are scaled by 1 / (1 − p). Why it may help: shorter paths get
    gradients, blocks don't rely on each other: deep residual nets generalise better. When it hurts: nets of few
    blocks; without residual blocks it does nothing. How: p_l = rate · l / L for block l of L.
    """
    return plan.replace(stochastic_depth=rate)


@technique(
    id="attention-dropout", stage="regularizer", part="attention", params={"rate": Float(0.02, 0.4, 0.1)}, cost=1.35,
    reference="arXiv:1706.03762",
)
def attention_dropout(plan: TrainPlan, *, rate: float) -> TrainPlan:
    """Attention dropout: in training, single attention weights are silenced at random.

    What it changes: behind the softmax each weight is set to 0 with probability `rate`, the others are scaled by 1 / (1 −
    rate). Why it may help: a token can't rely on one other token alone, which small data would teach it by heart. When it
    hurts: short inputs (tables of a few columns), where one weight is much of the whole; short trainings. How: an
    independent draw for each example, head, query and key; weights then no longer sum to one, but do so on average.
    """
    return plan.replace(attention_dropout=rate)


def dense_dropout(*, rate: float, rank: int, seed: int) -> Any:
    """Independent units, for dense layers' outputs (also of each member of an ensemble)."""
    import keras

    return keras.layers.Dropout(rate, seed=seed) if rank in (2, 3) else None


def channel_dropout(*, rate: float, rank: int, seed: int) -> Any:
    import keras

    return keras.layers.SpatialDropout2D(rate, seed=seed) if rank == 4 else None
