"""Decision trees as layers: gathers and comparisons of whole numbers, which every runtime has in every precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

PACKAGE = "automl"

STEPS = 4096
"""Columns are compared in steps of 1/4096…"""
BOUND = 7.99
"""… within ±8: 16 bits in all."""
_BELOW_ALL = -1e6
"""In steps: the value of the column that leaves look at, so that rows stay there."""


@keras.saving.register_keras_serializable(PACKAGE)
class DecisionTrees(keras.layers.Layer):
    """The sum of regression trees' leaves for each output: [b, columns] → [b, outputs]. The columns may come in parts, as a
    list: set side by side outside, they would be rounded in an integer file.

    Tree t of `trees` belongs to output t mod `outputs`. A row begins at each tree's first node and takes `depth` steps: to
    the node's left child, or, where its value of the node's column is above the node's threshold, to the one behind that. A
    leaf is its own left child and looks at a column behind the last, which is below every threshold; so rows stay there,
    whatever the tree's depth. Output o is offset[o] + `unit` · Σ (numbers of its trees' leaves). `one_sum`: all trees
    belong to one sum s, the log-odds of the second of two classes, and the outputs are offset ∓ s / 2.

    Thresholds are whole numbers of 1/4096 in ±8, and columns are clipped to that; what is a threshold inside is the value
    at a leaf, a whole number of `unit`, which should be a power of two. So nothing is left for a converter to round, and a
    node takes 5 bytes. The `nodes` of all trees lie behind each other, children as neighbours, a tree's first node first.

    Weights, none trainable by gradients: `column` uint8 (int16 from 256 columns on) [nodes], `number` int16 [nodes], `left`
    int16 [nodes] (counted from the tree's first node), `root` int32 [trees], `offset` float32 [outputs]; in the beginning
    each tree is a leaf of value 0. Missing values must have been replaced.
    """

    def __init__(
        self, columns: int, outputs: int, trees: int, nodes: int, depth: int, unit: float = 2.0**-14,
        one_sum: bool = False, **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.sums = 1 if one_sum else outputs
        if min(columns, outputs, trees) < 1 or trees % self.sums or nodes < trees or depth < 0:
            raise ValueError(
                f"expected columns, outputs ≥ 1, trees a multiple of {self.sums}, nodes ≥ trees and depth ≥ 0, "
                f"got {columns}, {outputs}, {trees}, {nodes} and {depth}"
            )
        if one_sum and outputs != 2:
            raise ValueError(f"one sum gives two outputs, got {outputs}")
        self.columns, self.outputs, self.trees, self.nodes, self.depth = columns, outputs, trees, nodes, depth
        self.unit, self.one_sum = unit, one_sum

    def build(self, input_shape: Any) -> None:
        parts = input_shape if isinstance(input_shape[0], tuple | list) else [input_shape]
        if (columns := sum(shape[-1] for shape in parts)) != self.columns:
            raise ValueError(f"expected {self.columns} columns, got {columns}")
        weight = self._weight
        self.column = weight("column", "uint8" if self.columns < 256 else "int16", np.full(self.nodes, self.columns))
        self.number = weight("number", "int16", np.zeros(self.nodes))
        self.left = weight("left", "int16", np.zeros(self.nodes))
        self.root = weight("root", "int32", np.arange(self.trees))
        self.offset = weight("offset", "float32", np.zeros(self.outputs))
        self.built = True

    def _weight(self, name: str, dtype: str, initial: NDArray[Any]) -> Any:
        return self.add_weight(
            name=name, shape=initial.shape, dtype=dtype, trainable=False,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(initial.astype(dtype)),
        )

    def call(self, inputs: Any) -> Any:
        parts = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        steps = [ops.clip(part, -BOUND, BOUND) * float(STEPS) for part in parts]
        x = ops.concatenate([*steps, ops.full_like(steps[0][:, :1], _BELOW_ALL)], axis=1)
        root = ops.expand_dims(self.root.value, 0)
        at = ops.cast(ops.zeros_like(x[:, :1]), "int32") + root  # [b, trees]
        for _ in range(self.depth):
            column = ops.cast(ops.take(self.column.value, at, axis=0), "int32")
            threshold = ops.cast(ops.take(self.number.value, at, axis=0), x.dtype)
            right = ops.cast(ops.greater(ops.take_along_axis(x, column, axis=1), threshold), "int32")
            at = root + ops.cast(ops.take(self.left.value, at, axis=0), "int32") + right
        leaves = ops.cast(ops.take(self.number.value, at, axis=0), x.dtype)
        sums = ops.sum(ops.reshape(leaves, (-1, self.trees // self.sums, self.sums)), axis=1)
        if self.one_sum:
            sums = sums * np.array([-0.5, 0.5], np.float32)
        return sums * self.unit + self.offset.value

    def compute_output_shape(self, input_shape: Any) -> Any:
        first = input_shape[0] if isinstance(input_shape[0], tuple | list) else input_shape
        return (first[0], self.outputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "columns": self.columns, "outputs": self.outputs, "trees": self.trees,
            "nodes": self.nodes, "depth": self.depth, "unit": self.unit, "one_sum": self.one_sum,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class CategoryLevels(keras.layers.Layer):
    """A fixed number, or `width` of them, for each code of each column: int32 [b, c] → [b, c · width].

    The numbers are whole ones of 1/4096, as `DecisionTrees` compares them: weight `levels` int16 [Σ `cardinalities`,
    width], not trainable by gradients, 0 in the beginning.
    """

    def __init__(self, cardinalities: Sequence[int], width: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.cardinalities, self.width = [int(n) for n in cardinalities], width
        if not self.cardinalities or min(*self.cardinalities, width) < 1:
            raise ValueError(f"expected positive cardinalities and width, got {cardinalities} and {width}")

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] != len(self.cardinalities):
            raise ValueError(f"expected {len(self.cardinalities)} columns, got {input_shape[-1]}")
        self.levels = self.add_weight(
            name="levels", shape=(sum(self.cardinalities), self.width), dtype="int16", trainable=False, initializer="zeros"
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        offsets = np.r_[0, np.cumsum(self.cardinalities[:-1])].astype(np.int32)
        found = ops.take(self.levels.value, ops.cast(inputs, "int32") + offsets, axis=0)  # [b, c, width]
        return ops.reshape(ops.cast(found, self.compute_dtype), (-1, len(self.cardinalities) * self.width)) * (1 / STEPS)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], len(self.cardinalities) * self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cardinalities": self.cardinalities, "width": self.width}
