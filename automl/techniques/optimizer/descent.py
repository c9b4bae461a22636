"""Stochastic gradient descent with and without momentum."""

from __future__ import annotations

from automl.catalog import Component, Float, TrainPlan, technique

LEARNING_RATE = Float(1e-3, 0.5, 3e-2, log=True)
MOMENTUM = Float(0.5, 0.99, 0.9)
FACTORY = "keras.optimizers:SGD"


@technique(
    id="sgd", stage="optimizer", slot="optimizer", params={"learning_rate": LEARNING_RATE},
    reference="Robbins, Monro: A Stochastic Approximation Method (1951)",
)
def sgd(plan: TrainPlan, *, learning_rate: float) -> TrainPlan:
    """Stochastic gradient descent: a step against the batch's gradient.

    What it changes: w ← w − η g, with no memory. Why it may help: the least arithmetic and memory, and its noise finds
    flat minima; as a plain baseline it shows what the others are worth. When it hurts: one rate for all weights, so
    badly scaled problems crawl; unlike adaptive methods it needs its rate tuned. How: as written.
    """
    return plan.replace(optimizer=Component(FACTORY), learning_rate=learning_rate)


@technique(
    id="sgd-momentum", stage="optimizer", slot="optimizer", params={"learning_rate": LEARNING_RATE, "momentum": MOMENTUM},
    reference="Polyak: Some methods of speeding up the convergence of iteration methods (1964)",
)
def sgd_momentum(plan: TrainPlan, *, learning_rate: float, momentum: float) -> TrainPlan:
    """Momentum: steps follow a running sum of gradients.

    What it changes: v ← βv − ηg, w ← w + v. Why it may help: directions in which gradients agree speed up by 1 / (1 −
    β), those in which they alternate cancel; the usual optimizer of convnets. When it hurts: it overshoots when rate
    and momentum are both high, so it wants a warm-up or gradient clipping. How: as written.
    """
    return plan.replace(optimizer=Component(FACTORY, {"momentum": momentum}), learning_rate=learning_rate)


@technique(
    id="nesterov", stage="optimizer", slot="optimizer", params={"learning_rate": LEARNING_RATE, "momentum": MOMENTUM},
    reference="Sutskever et al.: On the importance of initialization and momentum in deep learning (ICML 2013)",
)
def nesterov(plan: TrainPlan, *, learning_rate: float, momentum: float) -> TrainPlan:
    """Nesterov's momentum: the gradient counts as if taken after the momentum's step.

    What it changes: v ← βv − ηg, then w ← w + βv − ηg. Why it may help: it corrects an overshoot one step earlier than
    plain momentum and so bears higher momenta; with one-cycle and weight decay it holds the speed records on small
    pictures. When it hurts: hardly differs from momentum where gradients are mostly noise. How: as written (the form
    that evaluates at the present weights).
    """
    options = {"momentum": momentum, "nesterov": True}
    return plan.replace(optimizer=Component(FACTORY, options), learning_rate=learning_rate)
