"""Techniques against overconfident classifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, Float, TrainPlan, technique

SoftTargets = NDArray[np.float32]


@technique(
    id="label-smoothing", stage="loss", kinds=("classification",), params={"alpha": Float(0.01, 0.3, 0.1)},
    reference="arXiv:1512.00567",
)
def label_smoothing(plan: TrainPlan, *, alpha: float) -> TrainPlan:
    """Label smoothing: the target gives a share α to all classes alike.

    What it changes: y ← (1 − α) y + α / K for K classes. Why it may help: the network isn't driven to infinite logits,
    keeps a margin for mislabelled rows, and is better calibrated; usual on pictures. When it hurts: probabilities
    can't come nearer to 1 than 1 − α (K − 1) / K, which costs log-loss where classes are certain; ranking of rare
    positives may suffer; a smoothed teacher distils worse. How: as written, on soft targets as well.
    """
    return plan.extended("target_steps", Component(f"{__name__}:smoothed", {"alpha": alpha})).tagged("soft-targets")


def smoothed(*, alpha: float) -> Callable[[SoftTargets, np.random.Generator], SoftTargets]:
    def step(y: SoftTargets, rng: np.random.Generator) -> SoftTargets:
        return np.asarray((1 - alpha) * y + alpha / y.shape[1], np.float32)

    return step


@technique(
    id="entropy-regularization",
    stage="loss",
    kinds=("classification",),
    params={"weight": Float(1e-3, 0.5, 0.05, log=True)},
    reference="arXiv:1701.06548",
)
def entropy_regularization(plan: TrainPlan, *, weight: float) -> TrainPlan:
    """Entropy regularisation: confident predictions pay (confidence penalty).

    What it changes: −weight · H(p) joins the loss, H(p) = −Σ p log p being the entropy of the predicted probabilities.
    Why it may help: like label smoothing it keeps logits finite and probabilities honest, but it leaves the direction
    of doubt to the network. When it hurts: too strong it drowns the data; where classes are certain it costs log-loss.
    How: the mean over the batch (and over members of a packed ensemble).
    """
    return plan.extended("activity", Component(f"{__name__}:negative_entropy", {"weight": weight}))


def negative_entropy(*, weight: float) -> Callable[[Any, Any], Any]:
    from keras import ops

    def term(y_true: Any, y_pred: Any) -> Any:
        log_p = ops.log_softmax(y_pred, axis=-1)
        return weight * ops.mean(ops.sum(ops.exp(log_p) * log_p, axis=-1))

    return term
