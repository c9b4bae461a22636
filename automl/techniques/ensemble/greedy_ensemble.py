"""Choice of an ensemble's members from the search's own models."""

from __future__ import annotations

from automl.catalog import TrainPlan, technique
from automl.techniques.ensemble import out_of_order


@technique(
    id="greedy-ensemble", stage="ensemble", modalities=("table", "text", "series"), when=out_of_order,
    reference="Caruana et al.: Ensemble Selection from Libraries of Models (ICML 2004)",
)
def greedy_ensemble(plan: TrainPlan) -> TrainPlan:
    """Greedy ensemble selection: from all trained models the one is added, again and again, that improves the average most.

    What it changes: which recipes the members of the final ensemble are trained with; without it all have the winner's.
    Why it may help: models that err differently correct each other, and a weaker model of another kind often adds more than
    a twin of the best. When it hurts: on few validation rows a choice follows noise. How: beginning with the best, at each
    step argmax_m score((Σ_chosen p + p_m) / (n + 1)) on the validation rows, with replacement; equal scores are decided by
    the log-loss. Below 4,000 validation rows this is done on 20 bootstrap samples of them, and members are dealt to the
    models by the votes.
    """
    return plan.tagged("greedy-ensemble")
