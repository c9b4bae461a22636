"""Every step sees the whole training set: full-batch gradient descent in the place of mini-batches.

What it changes: without it, training goes by mini-batches, and their size is one of the numbers that the search
chooses (`batch_size`: powers of two around a hundredth of the rows, from 16 to 1,024). With it, an epoch is one step
on all training rows. Why it may help: the gradient is exact, so steps have no noise and rates may be large; on a few
hundred rows a step costs hardly more than on thirty-two. When it hurts: an epoch is one update, so a training of as
many epochs makes far fewer of them; and the noise of mini-batches finds flatter minima, which often generalise
better. How: w ← w − η ∇(1/n) Σ L(x_i) over all n rows; resampled ones, and those of a smaller fidelity, count as they
are.
"""

from __future__ import annotations

from automl.catalog import TrainPlan, technique
from automl.spec import Modality, Profile

MOST_ROWS = 2_000


def _few_rows(profile: Profile) -> str | None:
    return None if profile.rows <= MOST_ROWS else f"needs at most {MOST_ROWS:,} training rows: with more, epochs are too few"


@technique(
    id="batch-training", stage="data", modalities=(Modality.TABLE,), when=_few_rows,
    conflicts={
        "gradient-accumulation": "a step has all rows already, so there is nothing to gather",
        "batch-lr-scaling": "it sets the rate by the size of mini-batches",
    },
    reference="Bottou, Curtis, Nocedal: Optimization Methods for Large-Scale Machine Learning, arXiv:1606.04838 (2018)",
)
def apply(plan: TrainPlan) -> TrainPlan:
    return plan.replace(full_batch=True)
