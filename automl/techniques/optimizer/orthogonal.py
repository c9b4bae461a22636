"""Orthogonalises the momentum of each dense kernel before it is applied (Muon).

What it changes: the momentum m of a kernel is replaced by the nearest matrix whose singular values are all about 1, so that
a step moves along all its directions alike. Everything that isn't such a kernel takes AdamW's step at the same rate:
biases, embeddings, scales, convolutions, attention's kernels (which Keras keeps in three dimensions), and the last layer.
Why it may help: momenta of dense layers are dominated by a few directions, and the rare ones matter to what is learned; it
holds the speed records for training small transformers, and needs half of Adam's memory for the kernels. When it hurts:
five products of matrices a step cost more than a small net's own step; on convnets nothing but AdamW is left of it, so it
isn't offered for pictures.

How: m ← β m + g with β = 0.95, G = g + β m (Nesterov); X = G / ‖G‖, five times X ← a X + (b A + c A²) X with A = X Xᵀ and
(a, b, c) = (3.4445, −4.7750, 2.0315); w ← w − η 0.2 √max(rows, columns) X, which makes its steps as long as Adam's.
`keras.optimizers.Muon`; decay spares what isn't a kernel.
"""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Float, TrainPlan, technique
from automl.techniques.optimizer import adaptive

LAST_LAYERS = ("logits", "spread")
"""Layers of the head; the method is for hidden kernels only."""


@technique(
    id="muon", stage="optimizer", slot="optimizer", modalities=("table", "text", "series"), cost=4.0,
    params={"learning_rate": Float(1e-4, 2e-2, 2e-3, log=True), "weight_decay": Float(1e-5, 0.5, 5e-2, log=True)},
    reference="Jordan et al.: Muon, an optimizer for hidden layers (2024); arXiv:2502.16982",
    conflicts={"weight-decay": "it decays weights by itself"},
)
def apply(plan: TrainPlan, *, learning_rate: float, weight_decay: float) -> TrainPlan:
    return plan.replace(
        optimizer=Component(f"{__name__}:make", {"weight_decay": weight_decay}), learning_rate=learning_rate
    )


def make(*, learning_rate: Any, weight_decay: float, **options: Any) -> Any:
    """Keras's optimizer, told what isn't a hidden kernel."""
    import keras

    optimizer = keras.optimizers.Muon(
        learning_rate=learning_rate, weight_decay=weight_decay, adam_weight_decay=weight_decay, epsilon=1e-8,
        exclude_layers=[*LAST_LAYERS, *adaptive.NOT_DECAYED], **options,
    )
    return adaptive.spare(optimizer)
