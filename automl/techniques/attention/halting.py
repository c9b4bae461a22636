"""A depth of its own for each token."""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Modality


@technique(
    id="adaptive-computation-time", stage="attention", part="halting", modalities=(Modality.TEXT, Modality.SERIES),
    params={"cost": Float(0.001, 0.1, 0.01, log=True)}, cost=1.1, reference="arXiv:1603.08983; arXiv:1807.03819",
)
def adaptive_computation_time(plan: TrainPlan, *, cost: float) -> TrainPlan:
    """Adaptive computation time: each token decides after how many passes of one shared block it is done.

    What it changes: the transformer's layers become one block that is repeated up to `depth` times, and a halting unit
    says for each token how much the state after each pass counts. Why it may help: easy tokens settle at once, hard ones go
    on; a fraction of the weights; better where a rule is to be applied again and again. When it hurts: separate layers are
    stronger at equal depth where weights are no matter; the time stays that of `depth` passes, since the graph is static:
    what adapts is the result. How: p_n = σ(w · x_n + b) after pass n; a token halts when Σ p ≥ 0.99 and gives Σ p_n x_n, the
    last with the remainder; `cost` × mean(passes + remainder) is added to the loss.
    """
    return plan.replace(halting=Component(f"{__name__}:halt", {"cost": cost}))


def halt(*, cost: float, builder: Any, name: str) -> Any:
    import keras

    from automl.layers import attention

    layers = builder.layers
    # Halting begins rarely (σ(−1) = 0.27), so that all passes are trained at first.
    unit = layers.Dense(
        1, activation="sigmoid", kernel_initializer=builder.initializer(),
        bias_initializer=keras.initializers.Constant(-1.0), name=f"{name}_unit",
    )
    weights = attention.HaltingWeights(cost, name=f"{name}_weights")
    states_of = attention.WeightedStates(name=name)

    def gather(states: list[Any], mask: Any | None) -> Any:
        p = [unit(state) for state in states]
        p = layers.Concatenate(name=f"{name}_probabilities")(p) if len(p) > 1 else p[0]
        return states_of([weights(p if mask is None else [p, mask]), *states])

    return gather

