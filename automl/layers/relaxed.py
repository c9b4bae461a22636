"""Layers of relaxed networks, whose edges hold every operation at once. They train architectures and never reach an
artifact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="automl")
class FrontChannels(keras.layers.Layer):
    """The first 1/`share` of the channels, [b, h, w, c] → [b, h, w, ⌊c / share⌋]."""

    def __init__(self, share: int, **more: Any):
        super().__init__(**more)
        self.share = share

    def call(self, x: Any) -> Any:
        return x[..., : x.shape[-1] // self.share]

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*shape[:-1], shape[-1] // self.share)  # type: ignore[operator]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "share": self.share}


@keras.saving.register_keras_serializable(package="automl")
class Mixture(keras.layers.Layer):
    """Σ wᵢ · xᵢ with w a row's columns of a matrix [rows, columns], which is the first input: [matrix, x₀, x₁, …].

    With `bypass` the last input is the whole [b, h, w, c] of which the others saw the front channels: what lies behind
    these follows their sum, by the weight of the last column, and the channels of both are dealt out in turn, so that the
    next edge sees others in front (Xu et al., PC-DARTS, arXiv:1907.05737).
    """

    def __init__(self, row: int, columns: Sequence[int], bypass: bool = False, **more: Any):
        super().__init__(**more)
        self.row, self.columns, self.bypass = row, tuple(columns), bypass

    def call(self, inputs: Sequence[Any]) -> Any:
        matrix, *xs = inputs
        weights = [matrix[self.row, column] for column in self.columns]
        mixed = sum(ops.multiply(w, x) for w, x in zip(weights, xs if not self.bypass else xs[:-1]))
        if not self.bypass:
            return mixed
        whole, front = xs[-1], xs[0].shape[-1]
        passed = ops.multiply(weights[-1], whole[..., front:])
        return dealt(ops.concatenate([mixed, passed], axis=-1), whole.shape[-1] // front)

    def compute_output_shape(self, shapes: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return tuple(shapes[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "row": self.row, "columns": list(self.columns), "bypass": self.bypass}


def dealt(x: Any, groups: int) -> Any:
    """Channels [g₀…, g₁…, …] of equal groups in turn: the first of each group, then the second of each, …"""
    channels = x.shape[-1]
    if channels % groups:
        return x
    shape = tuple(x.shape[1:-1])
    parted = ops.reshape(x, (-1, *shape, groups, channels // groups))
    return ops.reshape(ops.swapaxes(parted, -1, -2), (-1, *shape, channels))
