"""What tells attention in which order tokens stand."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, TrainPlan, technique
from automl.spec import Modality


@technique(
    id="positional-encoding", stage="attention", part="positions",
    modalities=(Modality.TEXT, Modality.SERIES, Modality.IMAGE),
    params={"form": Categorical(("sinusoidal", "learned", "rotary"), "sinusoidal")}, default=True,
    reference="arXiv:1706.03762; arXiv:1810.04805; arXiv:2104.09864",
)
def positional_encoding(plan: TrainPlan, *, form: str) -> TrainPlan:
    """Positional encoding: tokens carry where they stand.

    What it changes: attention alone sees a heap of tokens; here each one is marked by its place. Why it may help: order
    carries most of what sentences, series and pictures say. When it hurts: topics of texts are often told by words alone,
    and small data then learn places by heart; learned vectors know nothing of places beyond those they saw. How:
    sinusoidal adds s · [sin(p ω_i), cos(p ω_i)], ω_i = 10000^(−i / (d / 2)), with a learned s that begins at 1, of texts at
    0.1; learned adds a vector for each place p; rotary turns pairs of queries' and keys' numbers by p ω_i, so that their
    product depends on the distance alone.
    """
    return plan.replace(positions=Component(f"{__name__}:layer", {"form": form}))


def layer(*, form: str, place: str, builder: Any, steps: int, width: int, name: str) -> Any:
    from automl.layers import attention

    if form == "rotary":
        return attention.RotaryPositions(name=name) if place == "heads" else None
    if place != "entrance":
        return None
    if form == "learned":
        return attention.LearnedPositions(seed=builder.seed(), name=name)
    # Embeddings of words begin small, patches of what is measured don't: positions as large as those are seen at once.
    return attention.SinusoidalPositions(0.1 if builder.profile.modality == Modality.TEXT else 1.0, name=name)
