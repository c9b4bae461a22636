"""Stops when the validation score has not improved for a while.

What it changes: a training ends after `patience` epochs without a better score. The best epoch's weights are kept in
any case. Why it may help: overfitting costs nothing more, and the time goes to other candidates. When it hurts:
schedules with a long high phase improve last of all, when the rate falls; a patience shorter than their plateaus stops
them before that.

How: a score counts as better when it is larger than the best so far.
"""

from __future__ import annotations

from automl.catalog import Int, TrainPlan, technique


@technique(
    id="early-stopping", stage="regularizer", params={"patience": Int(3, 40, 16)}, default=True,
    reference="Prechelt: Early Stopping — But When? (1998)",
)
def apply(plan: TrainPlan, *, patience: int) -> TrainPlan:
    return plan.replace(patience=patience)
