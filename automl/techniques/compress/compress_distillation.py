"""Distillation: a smaller network learns from the one that was found."""

from __future__ import annotations

from automl.catalog import Float, Rung, TrainPlan, technique


@technique(
    id="compress-distillation", stage="compress", params={"weight": Float(0.1, 1.0, 0.7), "share": Float(0.02, 0.9, 0.25)},
    reference="arXiv:1503.02531; Bucila et al.: Model Compression (KDD 2006)",
    rung=Rung(
        target="automl.compression.distillation:distill", place=10, needs=("size", "latency", "ensemble"), shortest_s=8.0,
        longest_s=600.0, attempts=3, unasked=0.0,
    ),
)
def compress_distillation(plan: TrainPlan, *, weight: float, share: float) -> TrainPlan:
    """Distillation into a smaller student: a network of the same family, made smaller, learns what the found model says.

    What it changes: the model that is delivered. The student's recipe is that of the best network found, with the sizes
    of its architecture stepped down until it has as few weights as the limits leave (for an ensemble: at first one
    network of its own size; with neither limit nor ensemble `share` of the weights); its targets are q = w · p_teacher +
    (1 − w) · y with w = `weight`. Why it may help: the teacher's probabilities say more of each row than its label does,
    so a student comes nearer to the teacher than it would by itself; five averaged networks become one. When it hurts: it
    takes a training from scratch, and where an ensemble's gain is real a single network doesn't reach it: without a limit
    the student is taken only if it loses nothing. How: cross-entropy is linear in the target, so this is Hinton's sum of
    both losses at temperature 1, with whatever loss the recipe has; numbers are mixed the same way. It trains on the
    training rows alone and is judged on the validation rows; so is the ensemble, by the mean of its members as the search
    trained them, since its final members have seen these rows.
    """
    return plan.tagged("compress-distillation")
