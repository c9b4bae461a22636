"""Attention as the summary of a sequence."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, TrainPlan, technique
from automl.spec import Modality


@technique(
    id="attention-rnn", stage="attention", part="sequence-pooling", modalities=(Modality.TEXT, Modality.SERIES),
    params={"units": Categorical((16, 32, 64), 32)}, cost=1.1,
    reference="Yang et al.: Hierarchical Attention Networks for Document Classification (NAACL 2016); arXiv:1409.0473",
)
def attention_rnn(plan: TrainPlan, *, units: int) -> TrainPlan:
    """Attention over states: a sequence is summed up by the steps that matter.

    What it changes: in place of the mean or the last of a network's states, a learned score weighs each step. Why it may
    help: one word or one beat may decide, and neither a mean nor the far end of a long sequence keeps it. When it hurts:
    where evidence is spread evenly the mean is as good and steadier; small data let it lean on single words. How: e_t = v ·
    tanh(W h_t + b), a = softmax over the steps that are there, Σ a_t h_t (additive attention with a learned question).
    """
    return plan.replace(sequence_pooling=Component(f"{__name__}:pool", {"units": units}))


def pool(x: Any, mask: Any | None, *, units: int, builder: Any, name: str) -> Any:
    from automl.layers import attention

    scores = builder.dense_layer(units, name=f"{name}_hidden")(x)
    scores = builder.layers.Activation("tanh", name=f"{name}_tanh")(scores)
    scores = builder.dense_layer(1, name=f"{name}_score", use_bias=False)(scores)
    weights = attention.StepWeights(name=f"{name}_weights")(scores if mask is None else [scores, mask])
    return attention.WeightedSteps(name=name)([x, weights])
