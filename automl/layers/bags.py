"""Bags of codes with fixed weights as layers: gathers of whole numbers and sums, which runtimes have in every precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

PACKAGE = "automl"

STEPS = 16
"""Rarities are whole numbers of 1/16: 8 bits reach to 15.9, which is the rarity of one text of three million."""
MIDDLE = 128
"""Of the 8 bits of a weight: that number is 0."""


@keras.saving.register_keras_serializable(PACKAGE)
class DistinctCodes(keras.layers.Layer):
    """Each code once, in falling order, zeros in the place of repeats: int32 [b, n] → int32 [b, n]."""

    def __init__(self, **kwargs: Any):
        kwargs.setdefault("dtype", "int32")
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        # Sorted as negative numbers: the largest first, with the one operation that runtimes have for it.
        ordered = -ops.sort(-inputs, axis=-1)
        before = ops.concatenate([ops.full_like(ordered[:, :1], -1), ordered[:, :-1]], axis=-1)
        return ops.where(ops.equal(ordered, before), ops.zeros_like(ordered), ordered)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class LinearBags(keras.layers.Layer):
    """A linear function of which codes are there: a list of int32 [b, n] of several kinds, each code once and 0 for none →
    [b, outputs].

    With r(t) the rarity of code t, an output is its offset and for each kind Σ r(t) · w(t) / ‖r‖₂ over the codes that are
    there: what a linear model gives for their vector, brought to length 1 (in texts: tf-idf with each term counted once).
    r is `rarity` / 16, and r(t) · w(t) is (`table` − 128) · `scale`. `one_sum`: all weights belong to one sum s, the
    log-odds of the second of two classes, and the outputs are offset ∓ s / 2.

    Weights, none trainable by gradients, for each kind with `counts` codes: `table` uint8 [codes, sums], `rarity` uint8
    [codes, 1], `scale` float32 [sums]; for all `offset` float32 [outputs]; in the beginning all codes weigh nothing. Whole
    numbers leave nothing for a converter to round, and a weight takes a byte in every precision.
    """

    def __init__(self, counts: Sequence[int], outputs: int, one_sum: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.counts, self.outputs, self.one_sum = [int(n) for n in counts], outputs, one_sum
        if not self.counts or min(self.counts) < 2 or outputs < 1:
            raise ValueError(f"expected at least 2 codes of each kind and an output, got {self.counts} and {outputs}")
        if one_sum and outputs != 2:
            raise ValueError(f"one sum gives two outputs, got {outputs}")
        self.sums = 1 if one_sum else outputs

    def build(self, input_shape: Any) -> None:
        self.tables = [self._weight(f"table_{i}", "uint8", np.full((n, self.sums), MIDDLE)) for i, n in self._kinds()]
        self.rarities = [self._weight(f"rarity_{i}", "uint8", np.zeros((n, 1))) for i, n in self._kinds()]
        self.scales = [self._weight(f"scale_{i}", "float32", np.ones(self.sums)) for i, _ in self._kinds()]
        self.offset = self._weight("offset", "float32", np.zeros(self.outputs))
        self.built = True

    def _kinds(self) -> list[tuple[int, int]]:
        return list(enumerate(self.counts, 1))

    def _weight(self, name: str, dtype: str, initial: NDArray[Any]) -> Any:
        return self.add_weight(
            name=name, shape=initial.shape, dtype=dtype, trainable=False,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(initial.astype(dtype)),
        )

    def call(self, inputs: Any) -> Any:
        parts = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        total = sum(self._kind(i, codes) for i, codes in enumerate(parts))
        if self.one_sum:
            total = total * np.array([-0.5, 0.5], np.float32)
        return total + self.offset.value

    def _kind(self, i: int, codes: Any) -> Any:
        weights = ops.cast(ops.take(self.tables[i].value, codes, axis=0), self.compute_dtype) - float(MIDDLE)
        rarity = ops.cast(ops.take(self.rarities[i].value, codes, axis=0), self.compute_dtype) * (1 / STEPS)
        length = ops.sqrt(ops.maximum(ops.sum(rarity * rarity, axis=1), 1 / STEPS**2))
        return ops.sum(weights, axis=1) * self.scales[i].value / length

    def compute_output_shape(self, input_shape: Any) -> Any:
        first = input_shape[0] if isinstance(input_shape[0], tuple | list) else input_shape
        return (first[0], self.outputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "counts": self.counts, "outputs": self.outputs, "one_sum": self.one_sum}
