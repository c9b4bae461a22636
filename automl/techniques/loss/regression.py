"""Losses on standardised numbers."""

from __future__ import annotations

from automl.catalog import Component, Float, TrainPlan, technique


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
