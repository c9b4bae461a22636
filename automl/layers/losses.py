"""Losses on logits that take a single model's output or a packed ensemble's.

Targets are (soft) one-hot [b, classes] or standardised numbers [b, 1]; the output is [b, outputs], or [b, members,
outputs] of an ensemble that shares one body. Members learn best when each is trained on its own loss and only their
predictions are averaged (Gorishniy et al., TabM, ICLR 2025, section 3), so the members' losses are averaged here,
never their outputs.

Each class gives one value for each example [b]; Keras weights and averages them.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


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
