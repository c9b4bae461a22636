"""Weighs each class in the loss against its frequency.

What it changes: a row of class c counts w_c in the loss; the mean over the training rows is 1. Why it may help: rare
classes get a voice without repeating or dropping rows, which raises balanced accuracy and macro-F1. When it hurts:
probabilities are shifted towards rare classes, so accuracy and log-loss fall; a handful of rows with huge weights
makes steps noisy.

How: inverse: w_c ∝ (1 / n_c)^strength. effective: w_c ∝ ((1 − β) / (1 − β^{n_c}))^strength with β = 0.999, the inverse
of the number of rows that aren't repetitions of others, which grows more slowly than n_c. `strength` 1 weighs classes
alike, 0 rows alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Categorical, Component, Float, TrainPlan, technique
from automl.spec import Profile

BETA = 0.999
TWICE = "both make up for the same imbalance, and together overdo it"


def _when(profile: Profile) -> str | None:
    if profile.imbalance < 1.5:
        return f"needs imbalance: the largest class has {profile.imbalance:.1f} times the rows of the smallest"
    return None


@technique(
    id="class-weighting", stage="data", kinds=("classification",),
    params={"method": Categorical(("inverse", "effective"), "inverse"), "strength": Float(0.1, 1.0, 0.5)},
    conflicts={"oversampling": TWICE, "undersampling": TWICE},
    reference="arXiv:1901.05555", when=_when,
)
def apply(plan: TrainPlan, *, method: str, strength: float) -> TrainPlan:
    return plan.replace(class_weights=Component(f"{__name__}:weights", {"method": method, "strength": strength}))


def weights(counts: NDArray[Any], *, method: str, strength: float) -> NDArray[np.float32]:
    """Weights [classes] for rows [classes]; a class without rows weighs 0."""
    n = np.asarray(counts, np.float64)
    present = n > 0
    rows = np.where(present, n, 1)
    number = rows if method == "inverse" else (1 - BETA**rows) / (1 - BETA)
    raw = np.where(present, number**-strength, 0.0)
    return (raw * n.sum() / (raw * n).sum()).astype(np.float32)
