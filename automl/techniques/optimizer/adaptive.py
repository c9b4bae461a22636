"""Optimizers that scale each weight's step by the history of its gradients."""

from __future__ import annotations

from typing import Any

from automl.catalog import Categorical, Component, Float, TrainPlan, technique

BETA_2 = Categorical((0.95, 0.98, 0.99, 0.999), 0.999)


@technique(
    id="adam", stage="optimizer", slot="optimizer",
    params={"learning_rate": Float(1e-4, 2e-2, 1e-3, log=True), "beta_2": BETA_2}, reference="arXiv:1412.6980",
)
def adam(plan: TrainPlan, *, learning_rate: float, beta_2: float) -> TrainPlan:
    """Adam: steps of momentum, divided by the recent size of each weight's gradient.

    What it changes: with g the gradient, m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g², both corrected for their start
    at 0, the step is −η m̂ / (√v̂ + ε). Why it may help: steps don't depend on the gradient's scale, so one rate
    serves layers of unlike size, sparse features and embeddings; it works with little tuning. When it hurts: on
    pictures well-tuned SGD may generalise better; an L2 penalty in the loss is divided by √v̂ too and loses its
    meaning (take `adamw`). How: as written, with β₁ = 0.9 and ε = 10⁻⁸; a β₂ of 0.95 to 0.99 forgets old gradients
    sooner, which suits short trainings and high rates.
    """
    return plan.replace(
        optimizer=Component("keras.optimizers:Adam", {"beta_2": beta_2, "epsilon": 1e-8}), learning_rate=learning_rate
    )


@technique(
    id="adamw", stage="optimizer", slot="optimizer", default=True,
    params={
        "learning_rate": Float(1e-4, 2e-2, 2e-3, log=True), "beta_2": BETA_2,
        "weight_decay": Float(1e-5, 0.5, 5e-2, log=True),
    },
    reference="arXiv:1711.05101",
)
def adamw(plan: TrainPlan, *, learning_rate: float, beta_2: float, weight_decay: float) -> TrainPlan:
    """AdamW: Adam with weight decay that doesn't pass through the adaptive scaling.

    What it changes: beside Adam's step each kernel shrinks by η λ w. Why it may help: decay added to the loss would be
    divided by √v̂, so that weights with large gradients are hardly decayed; decoupled, it acts on all alike, and rate
    and decay can be tuned apart. The usual choice for tables, transformers and modern convnets. When it hurts: too
    much decay underfits small nets; the effect scales with the rate and with the number of steps. How: decay spares
    biases, normalisations, embeddings and scales, as the theory of decay applies to kernels only.
    """
    return plan.replace(
        optimizer=Component(
            f"{__name__}:decoupled", {"kind": "AdamW", "weight_decay": weight_decay, "beta_2": beta_2, "epsilon": 1e-8}
        ),
        learning_rate=learning_rate,
    )


@technique(
    id="lion", stage="optimizer", slot="optimizer",
    params={"learning_rate": Float(2e-5, 3e-3, 3e-4, log=True), "weight_decay": Float(1e-4, 2.0, 0.1, log=True)},
    reference="arXiv:2302.06675",
)
def lion(plan: TrainPlan, *, learning_rate: float, weight_decay: float) -> TrainPlan:
    """Lion: every weight moves by the same amount, in the direction of its momentum's sign.

    What it changes: the step is −η (sign(β₁m + (1 − β₁)g) + λ w), then m ← β₂m + (1 − β₂)g with β₁ = 0.9, β₂ = 0.99.
    Why it may help: half of Adam's memory, less arithmetic, and a noise of its own that regularises; found by program
    search, and as good as AdamW or better on large batches. When it hurts: small batches, whose gradient signs are
    mostly noise. How: as written; the rate should be 3 to 10 times smaller than Adam's and the decay larger by the
    same factor, which is what the ranges here say.
    """
    return plan.replace(
        optimizer=Component(f"{__name__}:decoupled", {"kind": "Lion", "weight_decay": weight_decay}),
        learning_rate=learning_rate,
    )


@technique(
    id="rmsprop", stage="optimizer", slot="optimizer",
    params={"learning_rate": Float(1e-4, 1e-2, 1e-3, log=True), "rho": Float(0.8, 0.99, 0.9)},
    reference="Tieleman, Hinton: Neural Networks for Machine Learning, lecture 6.5 (2012)",
)
def rmsprop(plan: TrainPlan, *, learning_rate: float, rho: float) -> TrainPlan:
    """RMSprop: the gradient divided by the root of its recent mean square.

    What it changes: v ← ρv + (1 − ρ)g², the step is −η g / (√v + ε). Why it may help: it evens out gradients of unlike
    size without momentum, which suits noisy or moving objectives and recurrent nets. When it hurts: without bias
    correction its first steps are large; on ordinary problems Adam is rarely worse. How: as written, ε = 1e-7.
    """
    return plan.replace(optimizer=Component("keras.optimizers:RMSprop", {"rho": rho}), learning_rate=learning_rate)


@technique(
    id="adagrad", stage="optimizer", slot="optimizer", params={"learning_rate": Float(1e-3, 0.3, 3e-2, log=True)},
    reference="Duchi, Hazan, Singer: Adaptive Subgradient Methods (JMLR 2011)",
)
def adagrad(plan: TrainPlan, *, learning_rate: float) -> TrainPlan:
    """Adagrad: the gradient divided by the root of the sum of all its squares so far.

    What it changes: v ← v + g² from 0.1, the step is −η g / √(v + ε). Why it may help: weights of rare features keep
    large steps while frequent ones calm down, which suits sparse one-hot columns and bags of words; the rate decays by
    itself. When it hurts: the sum never forgets, so long trainings of deep nets come to a halt. How: as written.
    """
    return plan.replace(optimizer=Component("keras.optimizers:Adagrad"), learning_rate=learning_rate)


NOT_DECAYED = ("bias", "gamma", "beta", "scale", "frequency", "phase", "embeddings", "alpha")
"""Parts of the names of variables that weight decay spares: it is meant for kernels."""


def decoupled(*, kind: str, learning_rate: Any, weight_decay: float, **options: Any) -> Any:
    """A Keras optimizer with decoupled weight decay on kernels only."""
    import keras

    optimizer = getattr(keras.optimizers, kind)(learning_rate=learning_rate, weight_decay=weight_decay, **options)
    return spare(optimizer)


def spare(optimizer: Any) -> Any:
    """Exempts from the optimizer's decay what isn't a kernel."""
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer
