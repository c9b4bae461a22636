"""Losses on logits for classes."""

from __future__ import annotations

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Profile


@technique(
    id="cross-entropy", stage="loss", slot="loss", kinds=("classification",), default=True,
    reference="Bishop: Pattern Recognition and Machine Learning (2006), section 4.3.4",
)
def cross_entropy(plan: TrainPlan) -> TrainPlan:
    """Cross-entropy: the negative logarithm of the right class's probability.

    What it changes: nothing but the loss; it is the maximum-likelihood loss of classification and the default. Why it
    may help: it is a proper score, its least value is the true probabilities', and its gradient at the logits is
    simply softmax(z) − y. When it hurts: wrong labels cost without bound, and rare classes weigh as little as they are
    rare; see `focal`, `class-weighting`, `label-smoothing`. How: −Σ_c y_c log softmax(z)_c, on soft targets as well;
    the members of a packed ensemble each on its own.
    """
    return plan.replace(loss=Component("automl.layers.losses:CrossEntropy"))


@technique(
    id="focal", stage="loss", slot="loss", kinds=("classification",), params={"gamma": Float(0.0, 5.0, 2.0)},
    reference="arXiv:1708.02002",
)
def focal(plan: TrainPlan, *, gamma: float) -> TrainPlan:
    """Focal loss: cross-entropy that turns away from examples that are already right.

    What it changes: each example's loss is multiplied by (1 − p)^γ, p being the right class's probability. Why it may
    help: with strong imbalance, thousands of easy majority rows outweigh the few hard ones; at γ = 2 a row predicted
    with 0.9 counts a hundredth of its cross-entropy. It also keeps networks from overconfidence. When it hurts:
    probabilities are no longer calibrated (they are pulled to the middle), and mislabelled rows, which stay hard,
    weigh more. How: −Σ_c y_c (1 − p_c)^γ log p_c; γ = 0 is cross-entropy.
    """
    return plan.replace(loss=Component("automl.layers.losses:Focal", {"gamma": gamma}))


def _two_classes(profile: Profile) -> str | None:
    return None if profile.classes == 2 else f"is for two classes, the data have {profile.classes}; see cross-entropy"


@technique(
    id="binary-cross-entropy", stage="loss", slot="loss", kinds=("classification",), when=_two_classes,
    on_request="of two classes it is cross-entropy itself, computed from the margin",
    reference="Bishop: Pattern Recognition and Machine Learning (2006), section 4.3.2",
)
def binary_cross_entropy(plan: TrainPlan) -> TrainPlan:
    """Binary cross-entropy: the negative logarithm of the right one of two classes' probability, from a single margin.

    What it changes: the loss is computed from the margin of the two logits by the sigmoid instead of softmax. Why it may
    help: it is the loss that logistic regression is known by, and stable for margins of any size; its values and gradients
    are those of `cross-entropy`, because softmax of two logits is the sigmoid of their difference, so the search has nothing
    to gain by trying both. When it hurts: never more than cross-entropy does. How: with m = z₁ − z₀, max(m, 0) − m y +
    log(1 + e^−|m|); y is the share of the second class, also of soft targets.
    """
    return plan.replace(loss=Component("automl.layers.losses:BinaryCrossEntropy"))
