"""Weight clustering."""

from __future__ import annotations

from automl.catalog import Int, Rung, TrainPlan, technique
from automl.catalog.rung import FEWEST_ROWS


@technique(
    id="weight-clustering", stage="compress", params={"clusters": Int(3, 256, 16)},
    reference="arXiv:1510.00149",
    rung=Rung(
        target="automl.compression.clustering:cluster", place=40, needs=(), shortest_s=20.0, longest_s=90.0,
        rows=FEWEST_ROWS,
    ),
)
def weight_clustering(plan: TrainPlan, *, clusters: int) -> TrainPlan:
    """Weight clustering: the weights of a layer share a few values.

    What it changes: nothing in training; in the finished network each kernel of a dense layer or convolution gets at most
    `clusters` distinct weights, while it is trained on for a while. Why it may help: few values repeat often, so the
    download compresses better, by half and more where the file holds floats. When it hurts: the file itself, its memory
    and its speed stay as they are, and normalisation that is folded into a convolution scales each channel's values
    apart; so it is tried on request only, where the size of the download is the goal, and kept behind the ladder's
    guard. How: tfmot's clustering on the model rebuilt in tf_keras: centroids by k-means++, to which gradients flow;
    each weight belongs to the nearest one. Zeros that magnitude pruning made stay, and quantisation-aware training
    behind it keeps both (PCQAT).
    """
    return plan.tagged("weight-clustering")
