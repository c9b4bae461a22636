"""Structured pruning: whole channels are removed."""

from __future__ import annotations

from automl.catalog import Categorical, Float, Rung, TrainPlan, technique


@technique(
    id="structured-pruning", stage="compress",
    params={
        "keep": Float(0.05, 0.95, 0.6),
        "of": Categorical(("macs", "parameters"), "macs"),
        "importance": Categorical(("taylor", "norm"), "taylor"),
    },
    reference="arXiv:1608.08710; arXiv:1906.10771; arXiv:2301.12900",
    rung=Rung(
        target="automl.compression.structured:prune", place=20, needs=("size", "latency", "width"), shortest_s=20.0,
        attempts=3, unasked=0.0,
    ),
)
def structured_pruning(plan: TrainPlan, *, keep: float, of: str, importance: str) -> TrainPlan:
    """Structured pruning: removes whole channels and units, rebuilds the network smaller, and trains it on.

    What it changes: nothing in training; of the finished network the channels that matter least are taken out, of the
    kernels that make them, the normalisations behind them and the kernels that read them, until the share `keep` of the
    multiply-adds (or of the parameters) is left; then it is trained on with the recipe's own loss at 0.3 of its rate. Why it
    may help: unlike single zeros, missing channels make the file smaller and the model faster in every runtime. When it
    hurts: narrow networks have no channels to spare, and a network that was trained small from the start may be as good; so
    it is tried where a limit of size or latency isn't met and kept behind the ladder's guard, and where time is left kept
    only if nothing is lost. Attention,
    recurrent layers, embeddings and packed ensembles stay whole, and the job's notes say so; an ensemble of networks is left
    to `compress-distillation`. How: channels that meet in an addition, a depthwise kernel or a concatenation form groups
    (`automl.compression.channels`); a group's importance is the mean over training batches of (Σ w · ∂L/∂w)² over the
    weights that make it (`taylor`), or the squared norm of these weights over the layer's mean (`norm`).
    """
    return plan.tagged("structured-pruning")
