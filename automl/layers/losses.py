"""Losses on logits that take a single model's output or a packed ensemble's.

Targets are (soft) one-hot [b, classes] or standardised numbers [b, 1]; the output is [b, outputs], or [b, members,
outputs] of an ensemble that shares one body. Members learn best when each is trained on its own loss and only their
predictions are averaged (Gorishniy et al., TabM, ICLR 2025, section 3), so the members' losses are averaged here,
never their outputs.

Each class gives one value for each example [b]; Keras weights and averages them.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from automl.layers import expressions


class MemberLoss(keras.losses.Loss):
    """Base: `values(y_true, y_pred)` sees targets that broadcast against the output, and reduces its last axis."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        raise NotImplementedError

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if len(y_pred.shape) == 3:
            return ops.mean(self.values(ops.expand_dims(y_true, 1), y_pred), axis=1)
        return self.values(y_true, y_pred)


class CrossEntropy(MemberLoss):
    """−Σ_c y_c log softmax(z)_c."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return -ops.sum(y_true * ops.log_softmax(y_pred, axis=-1), axis=-1)


class Focal(MemberLoss):
    """−Σ_c y_c (1 − p_c)^γ log p_c with p = softmax(z) (Lin et al., arXiv:1708.02002); γ = 0 is cross-entropy."""

    def __init__(self, gamma: float = 2.0, name: str = "focal", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.gamma = gamma

    def values(self, y_true: Any, y_pred: Any) -> Any:
        log_p = ops.log_softmax(y_pred, axis=-1)
        # 1 − p can round to 0, where the power's gradient is infinite for γ < 1.
        rest = ops.maximum(1.0 - ops.exp(log_p), 1e-6)
        return -ops.sum(y_true * ops.power(rest, self.gamma) * log_p, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma}


class SquaredError(MemberLoss):
    """(y − ŷ)², the mean over outputs."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_true - y_pred), axis=-1)


class AbsoluteError(MemberLoss):
    """|y − ŷ|, the mean over outputs."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.abs(y_true - y_pred), axis=-1)


class Huber(MemberLoss):
    """½ e² where |e| ≤ δ, else δ (|e| − ½ δ), for e = y − ŷ; the mean over outputs (Huber 1964)."""

    def __init__(self, delta: float = 1.0, name: str = "huber", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.delta = delta

    def values(self, y_true: Any, y_pred: Any) -> Any:
        size = ops.abs(y_true - y_pred)
        inside = ops.minimum(size, self.delta)
        return ops.mean(0.5 * ops.square(inside) + self.delta * (size - inside), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "delta": self.delta}


class BinaryCrossEntropy(MemberLoss):
    """Of two classes: max(m, 0) − m y + log(1 + e^−|m|) with the margin m = z₁ − z₀ and y the share of the second class: the
    cross-entropy of σ(m), which is what softmax makes of the two logits."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        margin = y_pred[..., 1] - y_pred[..., 0]
        return ops.maximum(margin, 0.0) - margin * y_true[..., 1] + ops.log1p(ops.exp(-ops.abs(margin)))


class Quantile(MemberLoss):
    """max(τ e, (τ − 1) e) for e = y − ŷ, the mean over outputs: the pinball loss (Koenker, Bassett 1978)."""

    def __init__(self, level: float = 0.5, name: str = "quantile", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.level = level

    def values(self, y_true: Any, y_pred: Any) -> Any:
        error = y_true - y_pred
        return ops.mean(ops.maximum(self.level * error, (self.level - 1) * error), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "level": self.level}


class Poisson(MemberLoss):
    """(μ − y log μ) · mean / std², the mean over outputs, with y and the rate μ = std ŷ + mean in the target's own unit.

    The factor divides by the target's dispersion, so that the loss curves like the squared error whatever the unit. The link
    is the identity, since the inference model's way back to the unit is; a network needs no other. Below `LEAST` of the mean
    the loss goes on as its tangent: it stays finite and its slope leads back.
    """

    LEAST = 1e-2

    def __init__(self, mean: float, std: float, name: str = "poisson", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if mean <= 0:
            raise ValueError(f"counts have a positive mean, got {mean}")
        self.mean, self.std = mean, std

    def values(self, y_true: Any, y_pred: Any) -> Any:
        count, rate = (self.std * number + self.mean for number in (y_true, y_pred))
        least = self.LEAST * self.mean
        held = ops.maximum(rate, least)
        below = ops.minimum(rate - least, 0.0) * (1 - count / least)
        return ops.mean(held - count * ops.log(held) + below, axis=-1) * (self.mean / self.std**2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "std": self.std}


LEAST_VARIANCE = 1e-4
"""Of a standardised target, added to what is learned: rows that are hit exactly must not drive it to 0."""


class GaussianLikelihood(MemberLoss):
    """½ (log 2πv + (y − μ)² / v) on outputs (μ, r) with the variance v = softplus(r) + 10⁻⁴ (Nix, Weigend 1994), each row's
    value weighted by v^β as it stands, without a gradient through the weight (Seitzer et al., arXiv:2203.09168; β = 0 is the
    likelihood itself)."""

    def __init__(self, beta: float = 0.5, name: str = "gaussian_nll", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.beta = beta

    def values(self, y_true: Any, y_pred: Any) -> Any:
        location, raw = ops.split(y_pred, 2, axis=-1)
        variance = ops.softplus(raw) + LEAST_VARIANCE
        value = 0.5 * (ops.log(2 * math.pi * variance) + ops.square(y_true - location) / variance)
        return ops.mean(value * ops.power(ops.stop_gradient(variance), self.beta), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta}


class Evidential(MemberLoss):
    """The negative log-likelihood of a normal-inverse-gamma prior's marginal, a Student t, and a penalty on evidence for
    what is wrong (Amini et al., arXiv:1910.02600, equations 8 and 9).

    Outputs (γ, r₁, r₂, r₃) give ν = softplus(r₁), α = softplus(r₂) + 1, β = softplus(r₃), each with 10⁻⁴ added. With Ω = 2β
    (1 + ν): ½ log(π/ν) − α log Ω + (α + ½) log((y − γ)² ν + Ω) + log Γ(α) − log Γ(α + ½) + weight |y − γ| (2ν + α).
    Predicted is γ; the noise is β / (α − 1), the doubt about γ β / (ν (α − 1)).
    """

    def __init__(self, weight: float = 0.01, name: str = "evidential", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.weight = weight

    def values(self, y_true: Any, y_pred: Any) -> Any:
        location, *raw = ops.split(y_pred, 4, axis=-1)
        evidence, shape, scale = (ops.softplus(r) + LEAST_VARIANCE for r in raw)
        shape = shape + 1.0
        error = y_true - location
        width = 2 * scale * (1 + evidence)
        value = (
            0.5 * (math.log(math.pi) - ops.log(evidence)) - shape * ops.log(width)
            + (shape + 0.5) * ops.log(ops.square(error) * evidence + width) + log_gamma(shape) - log_gamma(shape + 0.5)
        )
        return ops.mean(value + self.weight * ops.abs(error) * (2 * evidence + shape), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight": self.weight}


def log_gamma(x: Any) -> Any:
    """log Γ(x) for x > 0: Stirling's series at x + 7, brought back by log Γ(x) = log Γ(x + 1) − log x. Keras has none."""
    product = x
    for i in range(1, 7):
        product = product * (x + i)
    far = x + 7.0
    series = 1 / (12 * far) - 1 / (360 * far**3) + 1 / (1260 * far**5)
    return (far - 0.5) * ops.log(far) - far + 0.5 * math.log(2 * math.pi) + series - ops.log(product)


class Expression(MemberLoss):
    """A formula that a user wrote (see `automl.layers.expressions`), in y, p and z.

    Of numbers (with `mean` and `std`): y and p are target and prediction in the target's own unit, z the prediction
    standardised; the mean over outputs. Of classes: y is 1 for the right class and 0 for the others, p = softmax(z) and z
    the logits, class by class; the sum over the classes.
    """

    def __init__(
        self, expression: str, mean: float | None = None, std: float | None = None, name: str = "expression", **kwargs: Any
    ):
        super().__init__(name=name, **kwargs)
        self.expression, self.mean, self.std = expression, mean, std
        self._tree = expressions.parse(expression, NAMES)

    def values(self, y_true: Any, y_pred: Any) -> Any:
        if self.std is None:
            known = {"y": y_true, "p": ops.softmax(y_pred, axis=-1), "z": y_pred}
            return ops.sum(self._computed(known, y_pred), axis=-1)
        y, p = (self.std * number + self.mean for number in (y_true, y_pred))
        return ops.mean(self._computed({"y": y, "p": p, "z": y_pred}, y_pred), axis=-1)

    def _computed(self, known: dict[str, Any], like: Any) -> Any:
        return expressions.compute(self._tree, known, ops) + ops.zeros_like(like)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "expression": self.expression, "mean": self.mean, "std": self.std}


NAMES = ("y", "p", "z")
"""Of target, prediction, and the network's own output in an `Expression`."""
