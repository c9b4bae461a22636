"""Sampling of pictures at learned places, between the pixels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

PACKAGE = "automl"


@keras.saving.register_keras_serializable(PACKAGE)
class DeformableSampling(keras.layers.Layer):
    """The places that a `kernel` × `kernel` convolution sees, each moved by an offset of its own (Dai et al. 2017).

    [x [b, h, w, c], offsets [b, h′, w′, 2 · kernel²]] → [b, h′, w′, kernel² · c], with h′ = ⌈h / strides⌉: for each of the
    kernel's places, row by row, the channels at p₀ + p + Δp, sampled bilinearly; zeros outside the picture. Offsets are
    (down, right) in pixels. A 1×1 convolution behind it makes it a deformable convolution; with offsets of 0 that is the
    plain convolution with "same" padding. It has no weights and does the same in training and inference.
    """

    def __init__(self, kernel: int = 3, strides: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.kernel, self.strides = kernel, strides

    def build(self, input_shape: Any) -> None:
        self._height, self._width, self._channels = (int(s) for s in input_shape[0][1:])
        self._rows = self._places(self._height)
        self._columns = self._places(self._width)
        self.built = True

    def _places(self, length: int) -> np.ndarray:
        """Where each output's kernel lies along one side, [outputs, kernel], as "same" padding puts it."""
        outputs = -(-length // self.strides)
        padding = max((outputs - 1) * self.strides + self.kernel - length, 0) // 2
        first = np.arange(outputs)[:, None] * self.strides - padding
        return (first + np.arange(self.kernel)).astype(np.float32)

    def call(self, inputs: Any) -> Any:
        x, offsets = inputs
        h, w, c, k = self._height, self._width, self._channels, self.kernel
        oh, ow, taps = len(self._rows), len(self._columns), k * k
        down, right = offsets[..., 0::2], offsets[..., 1::2]
        rows = np.broadcast_to(self._rows[:, None, :, None], (oh, ow, k, k)).reshape(1, oh, ow, taps)
        columns = np.broadcast_to(self._columns[None, :, None, :], (oh, ow, k, k)).reshape(1, oh, ow, taps)
        # Zeros outside: one place beyond each side is zero, and what lies further off is moved there.
        y = ops.clip(ops.cast(down, "float32") + rows, -1.0, float(h)) + 1.0
        z = ops.clip(ops.cast(right, "float32") + columns, -1.0, float(w)) + 1.0
        padded = ops.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)))
        flat = ops.reshape(padded, (-1, c))
        top, left = ops.floor(y), ops.floor(z)
        fy, fz = ops.cast((y - top)[..., None], x.dtype), ops.cast((z - left)[..., None], x.dtype)
        wide = w + 3
        first = ops.reshape(ops.arange(ops.shape(x)[0], dtype="int32") * ((h + 3) * wide), (-1, 1, 1, 1))
        place = first + ops.cast(top, "int32") * wide + ops.cast(left, "int32")

        def at(step: int) -> Any:
            return ops.take(flat, place + step, axis=0)

        upper = at(0) * (1 - fz) + at(1) * fz
        lower = at(wide) * (1 - fz) + at(wide + 1) * fz
        return ops.reshape(upper * (1 - fy) + lower * fy, (-1, oh, ow, taps * c))

    def compute_output_shape(self, input_shape: Any) -> Any:
        (b, h, w, c), k = input_shape[0], self.kernel
        return (b, -(-h // self.strides), -(-w // self.strides), k * k * c)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel": self.kernel, "strides": self.strides}
