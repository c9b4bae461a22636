"""Losses that learn beside each number how uncertain it is."""

from __future__ import annotations

from automl.catalog import Component, Float, TrainPlan, technique


@technique(
    id="gaussian-nll", stage="loss", slot="loss", kinds=("regression",), params={"beta": Float(0.0, 1.0, 0.5)},
    reference="Nix, Weigend: Estimating the mean and variance of the target probability distribution (1994); "
    "arXiv:2203.09168",
)
def gaussian_nll(plan: TrainPlan, *, beta: float) -> TrainPlan:
    """Gaussian likelihood: a mean and a variance for each row, learned together.

    What it changes: the network gets a second number r in training, by which it says the variance v = softplus(r) of the
    target about its mean; the loss is the normal distribution's negative log-likelihood. Why it may help: rows that are
    known to be noisy pull less on the mean, as weighted least squares would have it. When it hurts: the plain likelihood (β
    = 0) turns away from rows that it can't fit yet by calling them noisy; the weight v^β keeps it honest, and at β = 1 the
    mean learns as from squared errors. How: ½ (log v + (y − μ)² / v) · v^β, the weight taken as a constant. The delivered
    model predicts μ; the number for the variance stays behind.
    """
    return plan.replace(loss=Component("automl.layers.losses:GaussianLikelihood", {"beta": beta}), spread=1)


@technique(
    id="evidential", stage="loss", slot="loss", kinds=("regression",), params={"weight": Float(1e-4, 1.0, 1e-2, log=True)},
    on_request="it is for telling noise from doubt; for the prediction alone gaussian-nll does as much with less",
    reference="arXiv:1910.02600",
)
def evidential(plan: TrainPlan, *, weight: float) -> TrainPlan:
    """Evidential regression: a mean, the noise, and the network's own doubt about the mean, in one pass.

    What it changes: beside each number the network gives three more in training, which make it a distribution over normal
    distributions: ν and α are the evidence for mean and variance, β their scale. Why it may help: it tells noise that more
    data won't remove, β / (α − 1), from doubt that they would, β / (ν (α − 1)), without an ensemble. When it hurts: evidence
    and scale are hardly told apart by the likelihood, so the doubt is right in order rather than in size; too large a weight
    flattens it everywhere. How: the negative log-likelihood of the Student t that the distribution implies, plus `weight` ·
    |y − γ| (2ν + α). The delivered model predicts γ.
    """
    return plan.replace(loss=Component("automl.layers.losses:Evidential", {"weight": weight}), spread=3)
