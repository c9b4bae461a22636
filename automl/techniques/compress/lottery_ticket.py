"""Lottery tickets."""

from __future__ import annotations

from automl.catalog import Categorical, Float, Rung, TrainPlan, technique


@technique(
    id="lottery-ticket", stage="compress",
    params={"sparsity": Float(0.1, 0.98, 0.8), "mask": Categorical(("magnitude", "random"), "magnitude")},
    reference="arXiv:1803.03635; arXiv:1903.01611",
    rung=Rung(
        target="automl.compression.lottery:draw", place=25, needs=(), shortest_s=20.0, longest_s=600.0,
    ),
)
def lottery_ticket(plan: TrainPlan, *, sparsity: float, mask: str) -> TrainPlan:
    """Lottery ticket: the weights that mattered in the end are put back to where they began, and trained alone.

    What it changes: the finished network's smallest weights of each kernel, a share `sparsity`, are left out; the others
    go back to their first values, which the recipe's seed gives again, and the whole training is made once more with the
    rest held at zero. Why it may help: at high sparsities such a ticket often reaches the whole network's quality, and
    that of a random mask of the same sparsity doesn't; the download shrinks with the zeros. When it hurts: it costs a
    whole training, and larger networks want the weights of some later epoch; so it is tried on request only. How: a
    constraint multiplies each kernel by its mask after every step of the optimizer. `mask=random` draws the mask instead,
    for comparison.
    """
    return plan.tagged("lottery-ticket")
