"""Leaves out rows of frequent classes, at random, until none has more than a given multiple of the rarest.

What it changes: in the training part each class keeps at most `ratio` × the smallest class's rows. Why it may help:
balanced batches and far shorter epochs, so that more candidates fit into the budget; often costs nothing where the
majority is redundant. When it hurts: what is left out isn't learned from; probabilities no longer match the true
shares.

How: drawn once without replacement, with the recipe's seed. Applied only where the smallest class has at least 50
rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Profile

Inputs = dict[str, NDArray[Any]]
LEAST_ROWS = 50


def _when(profile: Profile) -> str | None:
    if profile.imbalance < 3:
        return f"needs imbalance: the largest class has {profile.imbalance:.1f} times the rows of the smallest"
    if profile.class_min < LEAST_ROWS:
        return f"the rarest class has {profile.class_min} rows, fewer than {LEAST_ROWS}: too little would be left"
    return None


@technique(
    id="undersampling",
    stage="data",
    slot="resampling",
    kinds=("classification",),
    params={"ratio": Float(1.0, 10.0, 3.0, log=True)},
    reference="Drummond, Holte: Class Imbalance and Cost Sensitivity (2003)",
    when=_when,
    cost=0.7,
)
def apply(plan: TrainPlan, *, ratio: float) -> TrainPlan:
    return plan.replace(resampling=Component(f"{__name__}:resample", {"ratio": ratio}))


def resample(inputs: Inputs, y: NDArray[Any], rng: np.random.Generator, *, ratio: float) -> tuple[Inputs, NDArray[Any]]:
    """The rows that are kept, in their order."""
    counts = np.bincount(y)
    limit = int(np.ceil(ratio * counts[counts > 0].min()))
    kept = np.ones(len(y), bool)
    for label in np.flatnonzero(counts > limit):
        members = np.flatnonzero(y == label)
        kept[rng.choice(members, len(members) - limit, replace=False)] = False
    rows = np.flatnonzero(kept)
    return {name: array[rows] for name, array in inputs.items()}, y[rows]
