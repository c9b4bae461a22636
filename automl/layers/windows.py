"""Attention inside windows of a picture, and inside windows that are shifted by a part of their side.

Tokens stand in a grid [b, rows, columns, channels]. Windows of `window` × `window` tokens are moved beside the heads: [b,
heads · windows, window², width of a head], so that what follows is attention as for sequences. Under a `shift` the grid is
rolled first, and what meets over its edge doesn't see each other (Liu et al., arXiv:2103.14030).
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from automl.layers.attention import HIDDEN

PACKAGE = "automl"


def rolled(x: Any, shift: int) -> Any:
    """[b, rows, columns, c] with the first `shift` rows and columns behind the others (negative: the other way)."""
    for axis in (1, 2):
        places = shift % x.shape[axis]
        if places:
            first, last = (slice(None),) * axis + (slice(places),), (slice(None),) * axis + (slice(places, None),)
            x = ops.concatenate([x[last], x[first]], axis=axis)
    return x


class _Windowed(keras.layers.Layer):
    """What the layers share: the heads, the side of a window and how far it is shifted."""

    def __init__(self, heads: int, window: int, shift: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if heads < 1 or window < 1 or not 0 <= shift < window:
            raise ValueError(f"expected heads and window ≥ 1 and 0 ≤ shift < window, got {heads}, {window} and {shift}")
        self.heads, self.window, self.shift = heads, window, shift

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads, "window": self.window, "shift": self.shift}


@keras.saving.register_keras_serializable(PACKAGE)
class ToWindows(_Windowed):
    """[b, rows, columns, heads · d] → [b, heads · windows, window², d]; rows and columns are multiples of the window."""

    def call(self, inputs: Any) -> Any:
        rows, columns, channels = inputs.shape[1:]
        w, count = self.window, (rows // self.window) * (columns // self.window)
        x = rolled(inputs, self.shift)
        # In steps of rank 5 at most: TFLite transposes no more than six axes.
        x = ops.transpose(ops.reshape(x, (-1, w, columns // w, w * channels)), (0, 2, 1, 3))
        x = ops.reshape(x, (-1, count, w * w, self.heads, channels // self.heads))
        return ops.reshape(
            ops.transpose(x, (0, 3, 1, 2, 4)), (-1, self.heads * count, w * w, channels // self.heads)
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, rows, columns, channels = input_shape
        count = (rows // self.window) * (columns // self.window)
        return (batch, self.heads * count, self.window**2, channels // self.heads)


@keras.saving.register_keras_serializable(PACKAGE)
class FromWindows(_Windowed):
    """The way back to a grid of `rows` × `columns`."""

    def __init__(self, heads: int, window: int, shift: int = 0, rows: int = 1, columns: int = 1, **kwargs: Any):
        super().__init__(heads, window, shift, **kwargs)
        self.rows, self.columns = rows, columns

    def call(self, inputs: Any) -> Any:
        w, d = self.window, inputs.shape[-1]
        count, channels = (self.rows // w) * (self.columns // w), self.heads * d
        x = ops.transpose(ops.reshape(inputs, (-1, self.heads, count, w * w, d)), (0, 2, 3, 1, 4))
        x = ops.reshape(x, (-1, self.columns // w, w, w * channels))
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, self.rows, self.columns, channels))
        return rolled(x, -self.shift)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.rows, self.columns, self.heads * input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}


@keras.saving.register_keras_serializable(PACKAGE)
class WindowWeights(_Windowed):
    """softmax of q kᵀ / √d + a learned bias for each head and each offset of two places in a window: [q, k] → [b, heads ·
    windows, window², window²] of a grid of `rows` × `columns`. The biases begin at 0."""

    def __init__(self, heads: int, window: int, shift: int = 0, rows: int = 1, columns: int = 1, **kwargs: Any):
        super().__init__(heads, window, shift, **kwargs)
        self.rows, self.columns = rows, columns

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight(
            name="offsets", shape=((2 * self.window - 1) ** 2, self.heads), initializer="zeros"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        q, k = inputs
        w, pairs = self.window, self.window**4
        scores = ops.matmul(q * (1 / math.sqrt(q.shape[-1])), ops.transpose(k, (0, 1, 3, 2)))
        bias = ops.transpose(ops.take(self.table, self._offsets().reshape(-1), axis=0))  # [heads, window⁴]
        hidden = ops.convert_to_tensor(self._hidden().reshape(1, -1, pairs), dtype=self.compute_dtype)
        added = ops.expand_dims(bias, 1) + hidden
        return ops.softmax(scores + ops.reshape(added, (1, -1, w * w, w * w)), axis=-1)

    def _offsets(self) -> np.ndarray:
        """The number of the offset between two places of a window: int32 [window², window²]."""
        y, x = np.divmod(np.arange(self.window**2), self.window)
        span = 2 * self.window - 1
        found: np.ndarray = (y[:, None] - y + self.window - 1) * span + (x[:, None] - x + self.window - 1)
        return found.astype(np.int32)

    def _hidden(self) -> np.ndarray:
        """−`HIDDEN` for pairs that meet only because the grid was rolled: float32 [windows, window², window²]."""
        w, s = self.window, self.shift
        regions = [np.where(np.arange(n) < n - s, 0, 1) if s else np.zeros(n, int) for n in (self.rows, self.columns)]
        labels = 2 * regions[0][:, None] + regions[1]
        labels = labels.reshape(self.rows // w, w, self.columns // w, w).transpose(0, 2, 1, 3).reshape(-1, w * w)
        return (labels[:, :, None] != labels[:, None, :]).astype(np.float32) * -HIDDEN

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:3], self.window**2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}
