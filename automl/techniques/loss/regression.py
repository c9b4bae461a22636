"""Losses on standardised numbers."""

from __future__ import annotations

from automl.catalog import Component, Float, TrainPlan, technique
from automl.spec import Profile


@technique(
    id="mse", stage="loss", slot="loss", kinds=("regression",), default=True,
    reference="Bishop: Pattern Recognition and Machine Learning (2006), section 3.1.1",
)
def mse(plan: TrainPlan) -> TrainPlan:
    """Squared error: the loss whose best prediction is the conditional mean.

    What it changes: nothing but the loss; it is the maximum-likelihood loss for normal noise of constant size, and
    what R² measures, hence the default. Why it may help: smooth, with gradients that fade as the fit improves. When it
    hurts: one outlier ten deviations off weighs as much as a hundred rows one deviation off; see `huber`, `mae`. How:
    (y − ŷ)² on the standardised target.
    """
    return plan.replace(loss=Component("automl.layers.losses:SquaredError"))


@technique(
    id="mae", stage="loss", slot="loss", kinds=("regression",),
    reference="Koenker, Bassett: Regression Quantiles (Econometrica 1978)",
)
def mae(plan: TrainPlan) -> TrainPlan:
    """Absolute error: the loss whose best prediction is the conditional median.

    What it changes: the loss grows linearly with the error. Why it may help: outliers and heavy-tailed noise pull no
    harder than other rows, and a metric of absolute errors is optimised itself. When it hurts: R² and RMSE ask for the
    mean, which differs from the median for skewed targets; the gradient's size doesn't fade near the optimum, so a
    decaying learning rate is needed. How:
    |y − ŷ| on the standardised target.
    """
    return plan.replace(loss=Component("automl.layers.losses:AbsoluteError"))


@technique(
    id="huber", stage="loss", slot="loss", kinds=("regression",), params={"delta": Float(0.1, 3.0, 1.0, log=True)},
    reference="Huber: Robust Estimation of a Location Parameter (1964)",
)
def huber(plan: TrainPlan, *, delta: float) -> TrainPlan:
    """Huber's loss: squared for small errors, absolute for large ones.

    What it changes: beyond `delta` (in standard deviations of the target) the loss grows linearly. Why it may help:
    the mean's efficiency for ordinary rows with the median's robustness for the rest; often the best choice for a
    heavy-tailed target even when R² is the measure. When it hurts: a small delta biases predictions of skewed targets
    to the median. How: ½ e² for |e| ≤ δ, else δ (|e| − ½ δ).
    """
    return plan.replace(loss=Component("automl.layers.losses:Huber", {"delta": delta}))


@technique(
    id="quantile", stage="loss", slot="loss", kinds=("regression",), params={"level": Float(0.01, 0.99, 0.5)},
    on_request="a quantile other than the median is a wish about the prediction; no metric asks for it, the median is mae",
    reference="Koenker, Bassett: Regression Quantiles (Econometrica 1978)",
)
def quantile(plan: TrainPlan, *, level: float) -> TrainPlan:
    """Quantile loss: the prediction below which the target lies with a chosen probability.

    What it changes: errors above the prediction weigh `level`, those below it 1 − `level`; the best prediction is the
    conditional quantile of that level, by default the median. Why it may help: where too low costs more than too high
    (stock, capacity, time limits), the number to predict is a high quantile and not the mean. When it hurts: by R² or
    errors anything but the centre looks bad; far quantiles of few rows are uncertain. How: max(τ e, (τ − 1) e) for e = y −
    ŷ on the standardised target; predictions are kept within the range of the training targets.
    """
    return plan.replace(loss=Component("automl.layers.losses:Quantile", {"level": level}))


def _counts(profile: Profile) -> str | None:
    if profile.target_min is None:
        return "the least target isn't known"
    return None if profile.target_min >= 0 else f"is for counts, the least target is {profile.target_min:g}"


@technique(
    id="poisson", stage="loss", slot="loss", kinds=("regression",), when=_counts,
    reference="Cameron, Trivedi: Regression Analysis of Count Data (2nd edition, 2013), chapter 3",
)
def poisson(plan: TrainPlan) -> TrainPlan:
    """Poisson loss: the likelihood of counts, whose noise grows with their mean.

    What it changes: the loss is μ − y log μ, with the prediction as the rate μ in the target's own unit. Why it may help: a
    squared error lets the few large counts decide; here an error weighs by the variance that a count of that size has
    anyway. The best prediction is the mean all the same. When it hurts: targets that aren't counts or amounts, and noise
    that doesn't grow with the mean. How: the rate is the network's number brought back to the target's unit (an identity
    link, which is what the delivered model computes); below a hundredth of the mean the loss goes on as a straight line, so
    that no logarithm of 0 is taken; it is divided by the target's variance over its mean, so that its scale is that of the
    other losses.
    """
    return plan.replace(loss=Component("automl.layers.losses:Poisson"), loss_in_units=True)
