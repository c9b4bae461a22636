"""Mixed bit widths."""

from __future__ import annotations

from automl.catalog import Categorical, Float, Rung, TrainPlan, technique


@technique(
    id="mixed-bit", stage="compress",
    params={"budget": Float(2.0, 8.0, 5.0), "how": Categorical(("sensitivity", "uniform"), "sensitivity")},
    reference="arXiv:1811.08886; arXiv:1905.03696",
    rung=Rung(
        target="automl.compression.mixed_bits:round_off", place=45, needs=(), shortest_s=15.0, longest_s=180.0,
    ),
    not_for_qat="training on would move the weights off their grids of fewer bits",
)
def mixed_bit(plan: TrainPlan, *, budget: float, how: str) -> TrainPlan:
    """Mixed bits: each layer's weights get as few bits as it bears, `budget` of them on average.

    What it changes: nothing in training; the finished network's kernels are rounded to grids of 2 to 8 bits, a grid for
    each channel. Why it may help: the integers that the int8 file holds then take few values, and the download shrinks
    nearly in proportion to the bits; layers differ greatly in what they bear, so the same mean of bits costs less than
    with equal bits for all. When it hurts: TFLite's runtime computes with 8 bits, so neither the file nor the time of a
    prediction shrinks; small networks bear little. It is tried on request only. How: each layer alone is rounded to each
    number of bits and the loss on training rows measured; the allotment with the least sum of losses within the budget is
    found by dynamic programming; then single swaps are tried on all layers together. `how=uniform` gives all
    the same, for comparison.
    """
    return plan.tagged("mixed-bit")
