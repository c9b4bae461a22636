"""Decision trees as layers: gathers and comparisons of whole numbers, which every runtime has in every precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from automl.layers import gathers

PACKAGE = "automl"

STEPS = 4096
"""Columns are compared in steps of 1/4096…"""
BOUND = 7.99
"""… within ±8: 16 bits in all."""
MOST_SPLITS = 2**14
"""That leave a leaf enough of a node's 16 bits; with more a node takes 32."""
NARROW, WIDE = 2**15, 2**23
"""Nodes that split are numbered from minus this on."""
_NEVER = -(2**30)


def largest_leaf(splits: int) -> int:
    """A leaf's whole number, at most, in either direction: what the numbers of the splits leave."""
    return min(32_000, (NARROW if splits <= MOST_SPLITS else WIDE) - splits)


@keras.saving.register_keras_serializable(PACKAGE)
class DecisionTrees(keras.layers.Layer):
    """The sum of regression trees' leaves for each output: [b, columns] → [b, outputs]. The columns may come in parts, as a
    list: set side by side outside, they would be rounded in an integer file.

    Tree t of `trees` belongs to output t mod `outputs`. A row begins at each tree's first node and goes down: left, or right
    where its value of the node's column is above the node's threshold. Output o is offset[o] + `unit` · Σ (numbers of its
    trees' leaves). `one_sum`: all trees belong to one sum s, the log-odds of the second of two classes, and the outputs are
    offset ∓ s / 2.

    **Two bytes a node.** All trees of a forest ask few different questions, of columns that were sorted into bins:
    `splits` of them, a column and a threshold each. A node is one number, which of these it asks or what the leaf gives.
    Where its children are follows from the order of the nodes, by levels and all trees at once (Jacobson 1989: level-
    order unary degree sequence): first the trees' first nodes, then the two children of each node that splits, one pair
    behind the other. So with G(p) nodes that split up to node p, itself included, its children are trees + 2 G(p) − 2
    and the one behind; G is summed up when the network runs, once for a whole batch. A leaf asks what is never answered,
    a number below all places, and the larger of where it leads and where the row is is where the row is, whatever the
    tree's depth: `depth` steps are taken.

    Thresholds are whole numbers of 1/4096 in ±8, and columns are clipped to that. Leaves are whole numbers of `unit`, which
    should be a power of two. So nothing is left for a converter to round.

    Weights, none trainable by gradients: `column` uint8 (int16 from 256 columns on) [splits], `threshold` int16 [splits],
    `node` int16 (int32 with more than `MOST_SPLITS` splits) [nodes]: a split's number minus `base`, or the leaf's number;
    `offset` float32 [outputs]. In the beginning each node is a leaf of value 0. Missing values must have been replaced.
    """

    def __init__(
        self, columns: int, outputs: int, trees: int, nodes: int, splits: int, depth: int, unit: float = 2.0**-14,
        one_sum: bool = False, **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.sums = 1 if one_sum else outputs
        if min(columns, outputs, trees, splits) < 1 or trees % self.sums or nodes < trees or depth < 0:
            raise ValueError(
                f"expected columns, outputs, splits ≥ 1, trees a multiple of {self.sums}, nodes ≥ trees and depth ≥ 0, "
                f"got {columns}, {outputs}, {splits}, {trees}, {nodes} and {depth}"
            )
        if one_sum and outputs != 2:
            raise ValueError(f"one sum gives two outputs, got {outputs}")
        self.columns, self.outputs, self.trees, self.nodes, self.depth = columns, outputs, trees, nodes, depth
        self.splits, self.unit, self.one_sum = splits, unit, one_sum
        self.base = NARROW if splits <= MOST_SPLITS else WIDE

    def build(self, input_shape: Any) -> None:
        parts = input_shape if isinstance(input_shape[0], tuple | list) else [input_shape]
        if (columns := sum(shape[-1] for shape in parts)) != self.columns:
            raise ValueError(f"expected {self.columns} columns, got {columns}")
        weight = self._weight
        self.column = weight("column", "uint8" if self.columns <= 256 else "int16", np.zeros(self.splits))
        self.threshold = weight("threshold", "int16", np.zeros(self.splits))
        self.node = weight("node", "int16" if self.base == NARROW else "int32", np.zeros(self.nodes))
        self.offset = weight("offset", "float32", np.zeros(self.outputs))
        self.built = True

    def _weight(self, name: str, dtype: str, initial: NDArray[Any]) -> Any:
        return self.add_weight(
            name=name, shape=initial.shape, dtype=dtype, trainable=False,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(initial.astype(dtype)),
        )

    def call(self, inputs: Any) -> Any:
        parts = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        # A value is above a whole threshold just if it is so rounded up.
        steps = [ops.cast(ops.ceil(ops.clip(part, -BOUND, BOUND) * float(STEPS)), "int32") for part in parts]
        x = ops.concatenate(steps, axis=1) if len(steps) > 1 else steps[0]
        # Always 0, which no converter knows: it would compute the tables and store those, of four bytes a number.
        nothing = ops.cast(ops.greater(x[:1, 0], int(2 * BOUND * STEPS)), "int32")
        node = ops.cast(self.node.value, "int32") + nothing
        last = self.splits - self.base
        asked = ops.minimum(node, last) + self.base  # [nodes]; `splits` for leaves
        down = ops.cumsum(ops.where(ops.less(node, last), 2, 0))
        looked_at = gathers.columns(x, ops.cast(self.column.value, "int32"))
        above = ops.greater(looked_at, ops.cast(self.threshold.value, "int32"))
        answer = ops.cast(above, "int32") + (self.trees - 2)  # [b, splits]
        answer = ops.pad(answer, ((0, 0), (0, 1)), constant_values=_NEVER)
        at = ops.zeros_like(answer[:, :1]) + ops.arange(self.trees, dtype="int32")  # [b, trees]
        for _ in range(self.depth):
            at = ops.maximum(at, gathers.rows(down, at) + gathers.own(answer, gathers.rows(asked, at)))
        leaves = ops.cast(gathers.rows(node, at), self.compute_dtype)
        if self.sums == 1:
            sums = ops.sum(leaves, axis=1, keepdims=True)
        else:
            sums = ops.sum(ops.reshape(leaves, (-1, self.trees // self.sums, self.sums)), axis=1)
        factors = np.array([-0.5, 0.5] if self.one_sum else [1.0], np.float32) * np.float32(self.unit)
        return sums * factors + self.offset.value

    def compute_output_shape(self, input_shape: Any) -> Any:
        first = input_shape[0] if isinstance(input_shape[0], tuple | list) else input_shape
        return (first[0], self.outputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "columns": self.columns, "outputs": self.outputs, "trees": self.trees,
            "nodes": self.nodes, "splits": self.splits, "depth": self.depth, "unit": self.unit, "one_sum": self.one_sum,
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
        found = gathers.rows(self.levels.value, ops.cast(inputs, "int32") + offsets)  # [b, c, width]
        return ops.reshape(ops.cast(found, self.compute_dtype), (-1, len(self.cardinalities) * self.width)) * (1 / STEPS)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], len(self.cardinalities) * self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cardinalities": self.cardinalities, "width": self.width}
