"""Penalties on kernels in the loss, and decay outside of it."""

from __future__ import annotations

from typing import Any

from automl.catalog import Component, Float, TrainPlan, technique

OWN_DECAY = "it decays weights by itself"


@technique(
    id="l2", stage="regularizer", slot="penalty", params={"strength": Float(1e-6, 1e-2, 1e-4, log=True)},
    reference="Krogh, Hertz: A Simple Weight Decay Can Improve Generalization (NIPS 1991)",
)
def l2(plan: TrainPlan, *, strength: float) -> TrainPlan:
    """L2 penalty: the sum of squared weights is added to the loss.

    What it changes: λ Σ w² over each kernel joins the loss. Why it may help: large weights, which fit noise, must pay;
    correlated inputs share their weight. When it hurts: under adaptive optimizers the penalty's gradient is divided by
    the gradient's size, so that busy weights are hardly held; take `weight-decay` or `adamw` there. Behind batch-norm
    it acts on the effective rate only. How: biases and normalisations are not penalised.
    """
    return plan.replace(regularizer=Component("keras.regularizers:L2", {"l2": strength}))


@technique(
    id="l1", stage="regularizer", slot="penalty", params={"strength": Float(1e-7, 1e-3, 1e-5, log=True)},
    reference="Tibshirani: Regression Shrinkage and Selection via the Lasso (1996)",
)
def l1(plan: TrainPlan, *, strength: float) -> TrainPlan:
    """L1 penalty: the sum of absolute weights is added to the loss.

    What it changes: λ Σ |w| over each kernel joins the loss. Why it may help: it pulls every weight by the same
    amount, so that useless ones end near 0, which selects inputs and prepares for pruning. When it hurts: of
    correlated inputs it keeps an arbitrary one; adaptive optimizers blur it as they do `l2`. How: biases and
    normalisations are not penalised.
    """
    return plan.replace(regularizer=Component("keras.regularizers:L1", {"l1": strength}))


@technique(
    id="l1-l2", stage="regularizer", slot="penalty",
    params={"l1": Float(1e-7, 1e-3, 1e-5, log=True), "l2": Float(1e-6, 1e-2, 1e-4, log=True)},
    reference="Zou, Hastie: Regularization and variable selection via the elastic net (2005)",
)
def l1_l2(plan: TrainPlan, *, l1: float, l2: float) -> TrainPlan:
    """Elastic net: both penalties at once.

    What it changes: λ₁ Σ |w| + λ₂ Σ w² joins the loss. Why it may help: sparse like L1, but correlated inputs are kept
    or dropped together as with L2. When it hurts: two strengths to tune; the rest as for `l1` and `l2`. How: biases
    and normalisations are not penalised.
    """
    return plan.replace(regularizer=Component("keras.regularizers:L1L2", {"l1": l1, "l2": l2}))


@technique(
    id="weight-decay", stage="regularizer", params={"rate": Float(1e-5, 0.1, 1e-3, log=True)}, reference="arXiv:1711.05101",
    conflicts={"adamw": OWN_DECAY, "lion": OWN_DECAY},
)
def weight_decay(plan: TrainPlan, *, rate: float) -> TrainPlan:
    """Decoupled weight decay: every step shrinks kernels by a fixed share.

    What it changes: beside the optimizer's step w ← w − η λ w, whatever the optimizer. Why it may help: unlike a
    penalty in the loss it doesn't pass through momentum or adaptive scaling, so its strength means the same
    everywhere. When it hurts: too strong it underfits; its effect grows with the rate and the number of steps. How:
    kernels only; biases, normalisations, embeddings and learned scales are spared.
    """
    return plan.with_options(weight_decay=rate).extended("optimizer_wrappers", Component(f"{__name__}:spared"))


def spared(optimizer: Any) -> Any:
    from automl.techniques.optimizer import adaptive

    return adaptive.spare(optimizer)
