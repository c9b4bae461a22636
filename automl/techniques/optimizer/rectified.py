"""RAdam, slow weights beside fast ones, and both together."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, Float, TrainPlan, technique
from automl.techniques.optimizer import adaptive

RATE = Float(1e-4, 2e-2, 2e-3, log=True)
INTERVAL = Categorical((5, 6, 10), 6)
SHARE = Categorical((0.5, 0.8), 0.5)


@technique(
    id="radam", stage="optimizer", slot="optimizer", params={"learning_rate": RATE, "beta_2": adaptive.BETA_2},
    reference="arXiv:1908.03265",
)
def radam(plan: TrainPlan, *, learning_rate: float, beta_2: float) -> TrainPlan:
    """RAdam: Adam that trusts its scaling only as far as it has seen gradients.

    What it changes: the first steps are plain momentum; then Adam's step counts with a factor r_t that rises to 1 as the
    variance of √v̂ becomes known. Why it may help: what a warm-up does by hand, since Adam's first steps are wild because
    they are divided by an estimate from a handful of gradients. When it hurts: beside a warm-up it is slow to start. How:
    ρ_t = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ) with ρ∞ = 2 / (1 − β₂) − 1; where ρ_t > 4, r_t² = (ρ_t − 4)(ρ_t − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ −
    2) ρ_t) and the step is η r_t m̂ / (√v̂ + ε), else η m̂.
    """
    return plan.replace(
        optimizer=Component("automl.layers.optimizers:RectifiedAdam", {"beta_2": beta_2}), learning_rate=learning_rate
    )


@technique(
    id="ranger", stage="optimizer", slot="optimizer",
    params={"learning_rate": RATE, "beta_2": adaptive.BETA_2, "interval": INTERVAL, "share": SHARE},
    reference="Wright: New Deep Learning Optimizer, Ranger (2019); arXiv:1908.03265; arXiv:1907.08610",
    conflicts={"lookahead": "it has slow weights by itself"},
)
def ranger(plan: TrainPlan, *, learning_rate: float, beta_2: float, interval: int, share: float) -> TrainPlan:
    """Ranger: RAdam inside Lookahead.

    What it changes: RAdam moves the weights, and after every `interval` updates they are drawn back to slow weights, which
    go the share of the way. Why it may help: the one steadies the start of the training, the other its course, and they
    hardly overlap. When it hurts: as both do, where the training has few steps. How: see `radam` and `lookahead`; the
    centred gradients of its later versions are `gradient-centralization`.
    """
    return _ahead(radam(plan, learning_rate=learning_rate, beta_2=beta_2), interval, share)


@technique(
    id="lookahead", stage="optimizer", order=1, params={"interval": INTERVAL, "share": SHARE}, reference="arXiv:1907.08610",
)
def lookahead(plan: TrainPlan, *, interval: int, share: float) -> TrainPlan:
    """Lookahead: slow weights that follow the optimizer's fast ones at a distance.

    What it changes: whatever the optimizer, after every k updates s ← s + α (w − s), and the weights w go on from s. Why it
    may help: the noise of single steps cancels along the way, so that a higher rate is stable and the rate needs less
    tuning; it costs one copy of the weights. When it hurts: progress is slowed to the share α of each stretch, which a short
    training feels; an average of weights (`ema`, `swa`) gives much of the same. How: as written, with k = `interval` and α =
    `share`.
    """
    return _ahead(plan, interval, share)


def _ahead(plan: TrainPlan, interval: int, share: float) -> TrainPlan:
    made = Component(f"{__name__}:ahead", {"interval": interval, "share": share})
    return plan.extended("optimizer_wrappers", made).tagged("counts-steps")


def ahead(optimizer: Any, *, interval: int, share: float) -> Any:
    """The optimizer with slow weights."""
    from automl.layers import optimizers

    return optimizers.lookahead(optimizer, interval, share)
