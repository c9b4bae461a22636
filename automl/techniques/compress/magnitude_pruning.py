"""Pruning by magnitude, after training."""

from __future__ import annotations

from automl.catalog import Categorical, Float, Rung, TrainPlan, technique
from automl.catalog.rung import FEWEST_ROWS


@technique(
    id="magnitude-pruning", stage="compress",
    params={"sparsity": Float(0.1, 0.95, 0.5), "pattern": Categorical(("free", "2:4"), "free")},
    reference="arXiv:1506.02626; arXiv:1710.01878; arXiv:2104.08378",
    rung=Rung(
        target="automl.compression.magnitude:prune", place=30, needs=("download",), shortest_s=15.0, longest_s=75.0,
        attempts=2, steps=({"sparsity": 0.5}, {"sparsity": 0.75}), unasked=0.5,
        rows=FEWEST_ROWS,
    ),
)
def magnitude_pruning(plan: TrainPlan, *, sparsity: float, pattern: str) -> TrainPlan:
    """Magnitude pruning: sets the smallest weights to zero, step by step, while the model learns to do without them.

    What it changes: nothing in training; the finished model is trained on for a while, during which in each kernel of
    a dense or convolution layer the weights of smallest magnitude become zero, until the share `sparsity` of them is.
    Why it may help: networks hold many weights that hardly matter, and zeros compress: the download shrinks (the file
    itself, its memory and its speed don't change in the runtimes that are used here). When it hurts: small models have
    little to spare, and beyond some sparsity accuracy falls at once; so it is kept only where the metric on the
    validation rows stays within half of the job's tolerance. Depthwise kernels, embeddings and layers with few weights
    stay whole: they have the least to spare. How: tfmot's pruning wrappers on the model rebuilt in tf_keras
    (`automl.compression`), with the cubic schedule of Zhu and Gupta, s(t) = S·(1 − (1 − t)³), over the first 70 % of
    the fine-tuning, and the rest of it at full sparsity to recover. With the pattern `2:4` two of every four weights in a
    row are zero, whatever `sparsity` says: the form that some accelerators compute in half the time.
    """
    return plan.tagged("magnitude-pruning")
