"""Normalisations of hidden layers' outputs, before the activation."""

from __future__ import annotations

import math
from typing import Any

from automl.catalog import Categorical, Component, Float, TrainPlan, technique


@technique(
    id="batch-norm", stage="norm", slot="norm", params={"momentum": Float(0.8, 0.99, 0.9)}, default=("image",), cost=1.2,
    reference="arXiv:1502.03167",
)
def batch_norm(plan: TrainPlan, *, momentum: float) -> TrainPlan:
    """Batch normalisation: each unit or channel is standardised over the batch, then scaled and shifted.

    What it changes: training uses the batch's mean and variance, inference their running averages. Why it may help:
    higher learning rates, less care with initialisation, and noise that regularises; convnets from scratch hardly do
    without, and it folds into the convolution for inference. When it hurts: batches under about 16; tables often do
    better without. Running averages lag by 1 / (1 − momentum) steps: at Keras's 0.99 a network that was trained for
    one short epoch predicts a constant, so it is 0.9 here. How: γ (x − μ_B) / √(σ_B² + ε) + β with ε = 1e-3.
    """
    layer = Component(f"{__name__}:batch_layer", {"momentum": momentum})
    return plan.replace(norm=layer).tagged("batch-statistics")


@technique(id="layer-norm", stage="norm", slot="norm", cost=1.2, reference="arXiv:1607.06450")
def layer_norm(plan: TrainPlan) -> TrainPlan:
    """Layer normalisation: each example is standardised over its own units or channels.

    What it changes: mean and variance are taken over the last axis of each example (in pictures at each place), the
    same way in training and inference. Why it may help: independent of the batch, so small batches and odd rows are no
    trouble; usual in transformers and in residual nets for tables. When it hurts: a plain convnet trains better with
    batch-norm; it doesn't fold into the layer before it, so inference pays for it. How: γ (x − μ) / √(σ² + ε) + β with
    ε = 1e-3.
    """
    return plan.replace(norm=Component(f"{__name__}:layer_layer"))


@technique(
    id="group-norm",
    stage="norm",
    slot="norm",
    modalities=("image", "series"),
    params={"groups": Categorical((2, 4, 8, 16), 8)},
    cost=1.4,
    reference="arXiv:1803.08494",
)
def group_norm(plan: TrainPlan, *, groups: int) -> TrainPlan:
    """Group normalisation: each picture is standardised over places and groups of channels.

    What it changes: mean and variance are taken over height, width and the channels of a group. Why it may help: like
    batch-norm without the batch: the same in training and inference, right for small batches. When it hurts: with
    ordinary batches batch-norm regularises better and costs nothing at inference. How: γ (x − μ_g) / √(σ_g² + ε) + β;
    where `groups` doesn't divide the channels, their greatest common divisor is taken.
    """
    return plan.replace(norm=Component(f"{__name__}:group_layer", {"groups": groups}))


@technique(
    id="instance-norm", stage="norm", slot="norm", modalities=("image", "series"), cost=1.4,
    reference="arXiv:1607.08022",
)
def instance_norm(plan: TrainPlan) -> TrainPlan:
    """Instance normalisation: each channel of each picture is standardised over its places.

    What it changes: mean and variance are taken over height and width alone. Why it may help: it removes contrast and
    brightness, which carry style, not content; good where lighting varies between pictures. When it hurts: where
    brightness is the signal; at places of few pixels the statistics are noise. How: γ (x − μ) / √(σ² + ε) + β for each
    channel.
    """
    return plan.replace(norm=Component(f"{__name__}:group_layer", {"groups": 0}))


def batch_layer(*, momentum: float, rank: int, channels: int) -> Any:
    import keras

    return keras.layers.BatchNormalization(momentum=momentum)


def layer_layer(*, rank: int, channels: int) -> Any:
    import keras

    return keras.layers.LayerNormalization(epsilon=1e-3)


def group_layer(*, groups: int, rank: int, channels: int) -> Any:
    """`groups` 0: one for each channel."""
    import keras

    return keras.layers.GroupNormalization(groups=math.gcd(groups, channels) if groups else -1)
