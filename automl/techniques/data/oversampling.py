"""Repeats or interpolates rows of rare classes until they are a given share of the most frequent one.

What it changes: in the training part each class with fewer than `ratio` × the largest class's rows gets more: repeated
at random, or by SMOTE between neighbours. Why it may help: with strong imbalance batches hold few rare rows, and a
network may settle on never predicting them; recall of the minority rises. When it hurts: repeated rows are overfitted,
interpolated ones may lie where another class lives; probabilities no longer match the true shares, which ranking
metrics forgive and log-loss doesn't.

How: random draws rows with replacement. smote takes for a random row one of its 5 nearest neighbours of the same class
(Euclidean on the encoded numeric columns) and a uniform point on the line between them; categories come from either of
the two with equal chance (as there is no point between categories). Pictures, tables without numeric columns and
classes of a single row are repeated under either method.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Categorical, Component, Float, TrainPlan, technique
from automl.spec import Profile

Inputs = dict[str, NDArray[Any]]
NEIGHBOURS = 5


def _when(profile: Profile) -> str | None:
    if profile.imbalance < 1.5:
        return f"needs imbalance: the largest class has {profile.imbalance:.1f} times the rows of the smallest"
    return None


@technique(
    id="oversampling", stage="data", slot="resampling", kinds=("classification",),
    params={"method": Categorical(("random", "smote"), "random"), "ratio": Float(0.1, 1.0, 0.5)},
    reference="arXiv:1106.1813 (SMOTE)", when=_when, cost=1.3,
)
def apply(plan: TrainPlan, *, method: str, ratio: float) -> TrainPlan:
    return plan.replace(resampling=Component(f"{__name__}:resample", {"method": method, "ratio": ratio}))


def resample(
    inputs: Inputs, y: NDArray[Any], rng: np.random.Generator, *, method: str, ratio: float
) -> tuple[Inputs, NDArray[Any]]:
    """The rows with new ones of rare classes behind them."""
    counts = np.bincount(y)
    wanted = np.ceil(ratio * counts.max()).astype(int)
    added: list[tuple[Inputs, NDArray[Any]]] = []
    for label in np.flatnonzero((counts > 0) & (counts < wanted)):
        members = np.flatnonzero(y == label)
        missing = wanted - counts[label]
        first = rng.choice(members, missing)
        if method == "smote" and "numeric" in inputs and len(members) > 1:
            new = _between_neighbours(inputs, members, first, rng)
        else:
            new = {name: array[first] for name, array in inputs.items()}
        added.append((new, np.full(missing, label, y.dtype)))
    if not added:
        return inputs, y
    grown = {name: np.concatenate([array, *(new[name] for new, _ in added)]) for name, array in inputs.items()}
    return grown, np.concatenate([y, *(labels for _, labels in added)])


def _between_neighbours(inputs: Inputs, members: NDArray[Any], first: NDArray[Any], rng: np.random.Generator) -> Inputs:
    from sklearn.neighbors import NearestNeighbors

    x = np.asarray(inputs["numeric"])[members]
    k = min(NEIGHBOURS, len(members) - 1)
    # The nearest of k + 1 is the row itself.
    nearest = NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    place = np.searchsorted(members, first)
    second = members[nearest[place, rng.integers(0, k, len(first))]]
    step = rng.random((len(first), 1)).astype(np.float32)
    new = {"numeric": inputs["numeric"][first] * (1 - step) + inputs["numeric"][second] * step}
    if "categorical" in inputs:
        a, b = inputs["categorical"][first], inputs["categorical"][second]
        new["categorical"] = np.where(rng.random(a.shape) < 0.5, a, b)
    return new
