"""Adds the gradients of several batches up before each step.

What it changes: the optimizer moves once in `steps` batches, by the mean of their gradients. Why it may help: the
effect of a batch `steps` times as large in the memory of one, with less noise in each direction; statistics of
batch-norm stay those of the small batch. When it hurts: fewer steps an epoch, so a short training may not get far;
raise the rate with it.

How: gradients are summed in extra variables; k small steps equal one on the mean gradient of their batches.
"""

from __future__ import annotations

from automl.catalog import Int, TrainPlan, technique
from automl.spec import Profile


def _when(profile: Profile) -> str | None:
    return None if profile.rows >= 1_000 else f"needs rows for many batches, the training part has {profile.rows}"


@technique(
    id="gradient-accumulation", stage="gradient", params={"steps": Int(2, 8, 2)}, when=_when, reference="arXiv:1711.00489",
)
def apply(plan: TrainPlan, *, steps: int) -> TrainPlan:
    return plan.with_options(gradient_accumulation_steps=steps)
