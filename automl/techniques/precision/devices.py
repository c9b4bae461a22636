"""Splits each batch over all devices that the trial sees.

What it changes: every device holds the whole model and takes a part of each batch; gradients, and statistics of batch-norm,
are those of the whole batch, so that a step is the step of one device. Why it may help: large models on large batches are
done in a fraction of the time. When it hurts: small models, whose steps are shorter than the exchange of gradients; two
trials side by side use two devices better than one trial on both, which is what a job does by itself, so the search tries it
only when it is named.

How: `keras.distribution.DataParallel` over the largest number of devices that divides the batch; XLA splits the step and
adds the gradients up. It needs the JAX backend and at least two devices in the trial's process, which a job with fewer
slots than GPUs gives it; elsewhere a trial with it is refused with the reason.
"""

from __future__ import annotations

from automl.catalog import TrainPlan, technique


@technique(
    id="data-parallel", stage="precision", reference="arXiv:1404.5997; arXiv:2105.04663",
    on_request="it needs several devices in one trial, and the JAX backend",
)
def apply(plan: TrainPlan) -> TrainPlan:
    return plan.replace(data_parallel=True)
