"""Layer-wise sparsity and bits by reinforcement learning."""

from __future__ import annotations

from automl.catalog import Float, Int, Rung, TrainPlan, technique


@technique(
    id="rl-sac", stage="compress", params={"budget": Float(1.5, 8.0, 4.0), "walks": Int(50, 5000, 300)},
    reference="arXiv:1802.03494; arXiv:1811.08886; arXiv:1801.01290",
    rung=Rung(
        target="automl.compression.layerwise:search", place=46, needs=(), shortest_s=30.0, longest_s=600.0,
    ),
    not_for_qat="training on would move the weights off their grids of fewer bits",
    conflicts={"mixed-bit": "both round each layer's weights to grids of their own"},
)
def rl_sac(plan: TrainPlan, *, budget: float, walks: int) -> TrainPlan:
    """Layer-wise compression by an agent: zeros and bits of each layer are chosen by soft actor-critic, as in AMC and HAQ.

    What it changes: nothing in training; in the finished network each layer's smallest weights become zero and the others
    are rounded to a grid of 2 to 8 bits, `budget` bits a weight on average, the zeros' places included. Why it may help:
    an analysis of each layer alone (`mixed-bit`) doesn't see how the layers' errors add up, and doesn't weigh zeros
    against bits; the agent only ever sees all layers together, on training rows. When it hurts: it needs some hundred
    trials of the whole network where the analysis needs a few for each layer, and small networks bear little; neither
    the file nor the time of a prediction shrinks, only the download; so it is tried on request only. How: the agent walks
    through the layers `walks` times at most, sees each one's kind, shape, share of weights and multiply-adds and what is
    left of the budget, and is rewarded at the end of a walk by the loss; the best walk is taken. The job's notes say what
    equal bits and the sensitivity analysis lose at the same budget.
    """
    return plan.tagged("rl-sac")
