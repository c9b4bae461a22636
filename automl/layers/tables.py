"""Layers for the columns of tables: encodings of numbers and categories, a learned scaling, and ensemble members'
adapters.

All keep to operations that TensorFlow Lite has as built-ins, run under every Keras backend, and are rebuilt from their
config.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from automl.layers.sequences import ChannelSlice

PACKAGE = "automl"


@keras.saving.register_keras_serializable(PACKAGE)
class FeatureScale(keras.layers.Layer):
    """y = (1 + r·w) ∘ x with a learned w for each feature, at 0 in the beginning.

    A soft selection of features: what doesn't help can be scaled down once, instead of in each unit's weights. Under
    Adam-like optimizers, whose steps don't depend on the gradient's size, `rate` r makes the scale learn r times as
    fast as the other weights (Holzmüller et al., NeurIPS 2024, take 6). Input and output: [b, features].
    """

    def __init__(self, rate: float = 6.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="zeros")
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs * (1.0 + self.rate * self.scale)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(PACKAGE)
class PeriodicEmbedding(keras.layers.Layer):
    """Embeds each number by cosines of learned frequencies and phases, a linear map of its own, and the number itself
    (PBLD).

    z_i = [x_i, W_i cos(2π (f_i x_i + φ_i)) + b_i] for the column i with `frequencies` f_i ~ N(0, σ²), phases φ_i ~
    U(−½, ½) and width − 1 learned outputs. It lets a small network bend sharply along one column, which plain units on
    standardised numbers learn slowly (Gorishniy et al., arXiv:2203.05556; the form with phases and the number kept:
    Holzmüller et al., arXiv:2407.04491, who take 16 frequencies, σ = 0.1, width 4). [b, d] → [b, d · width].
    """

    def __init__(
        self, frequencies: int = 16, width: int = 4, sigma: float = 0.1, activation: str = "linear", seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if frequencies < 1 or width < 2:
            raise ValueError(f"expected frequencies ≥ 1 and width ≥ 2, got {frequencies} and {width}")
        self.frequencies, self.width, self.sigma, self.seed = frequencies, width, sigma, seed
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        d = int(input_shape[-1])
        seed = self.seed
        self.frequency = self.add_weight(
            name="frequency", shape=(d, self.frequencies),
            initializer=keras.initializers.RandomNormal(stddev=self.sigma, seed=None if seed is None else seed),
        )
        self.phase = self.add_weight(
            name="phase", shape=(d, self.frequencies),
            initializer=keras.initializers.RandomUniform(-0.5, 0.5, seed=None if seed is None else seed + 1),
        )
        bound = 1 / math.sqrt(self.frequencies)
        self.mixing = self.add_weight(
            name="embedding_kernel", shape=(d, self.frequencies, self.width - 1),
            initializer=keras.initializers.RandomUniform(-bound, bound, seed=None if seed is None else seed + 2),
        )
        self.offset = self.add_weight(
            name="bias", shape=(d, self.width - 1),
            initializer=keras.initializers.RandomUniform(-bound, bound, seed=None if seed is None else seed + 3),
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        d = int(inputs.shape[-1])
        x = ops.expand_dims(inputs, -1)
        waves = ops.cos(2 * math.pi * (x * self.frequency + self.phase))  # [b, d, frequencies]
        # One matrix product for each column: columns first, since that is the batch dimension of the product.
        mixed = ops.matmul(ops.transpose(waves, (1, 0, 2)), self.mixing)  # [d, b, width − 1]
        mixed = self.activation(ops.transpose(mixed, (1, 0, 2)) + self.offset)
        return ops.reshape(ops.concatenate([x, mixed], axis=-1), (-1, d * self.width))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], input_shape[-1] * self.width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "frequencies": self.frequencies, "width": self.width, "sigma": self.sigma,
            "activation": keras.activations.serialize(self.activation), "seed": self.seed,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class PiecewiseLinearEncoding(keras.layers.Layer):
    """Encodes each number by how far it fills each of its column's bins (Gorishniy et al., arXiv:2203.05556).

    With edges t_0 < … < t_T: e_k = min(1, max(0, (x − t_{k−1}) / (t_k − t_{k−1}))), so that a linear layer behind it
    is a piecewise-linear function of the column. `edges` [d, T + 1] usually are quantiles of the training rows; equal
    neighbours (a column with few values) are allowed and give a step. The number itself is kept as the first entry,
    which carries what lies beyond the outer edges. [b, d] → [b, d · (T + 1)].
    """

    def __init__(self, edges: Sequence[Sequence[float]], **kwargs: Any):
        super().__init__(**kwargs)
        self.edges = [[float(e) for e in row] for row in edges]
        lengths = {len(row) for row in self.edges}
        if len(lengths) != 1 or min(lengths) < 2 or any(row != sorted(row) for row in self.edges):
            raise ValueError("expected for each column the same number of at least two edges, in ascending order")

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] != len(self.edges):
            raise ValueError(f"expected {len(self.edges)} columns, got {input_shape[-1]}")
        edges = np.asarray(self.edges, np.float64)
        widths = np.maximum(np.diff(edges, axis=1), 1e-6)
        # NumPy constants: they become part of the graph and need no weights.
        self._slope = (1 / widths).astype(np.float32)
        self._shift = (-edges[:, :-1] / widths).astype(np.float32)
        self.built = True

    def call(self, inputs: Any) -> Any:
        d, bins = self._slope.shape
        x = ops.expand_dims(inputs, -1)
        slope = ops.cast(self._slope, self.compute_dtype)
        filled = ops.relu(x * slope + ops.cast(self._shift, self.compute_dtype))
        filled = ops.minimum(filled, ops.cast(1.0, self.compute_dtype))
        return ops.reshape(ops.concatenate([x, filled], axis=-1), (-1, d * (bins + 1)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], input_shape[-1] * len(self.edges[0]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "edges": self.edges}


@keras.saving.register_keras_serializable(PACKAGE)
class CategoryEncoding(keras.layers.Layer):
    """Turns a row's codes int32 [b, c] into [b, Σ widths]: one-hot for columns with few codes, learned vectors for the
    rest.

    `cardinalities` are the numbers of codes (0 missing, 1 unseen, 2… known), `widths` the outputs of each column; a
    column whose width equals its cardinality is one-hot, one of width 0 is left out. Columns of equal width share one
    table, so that a handful of gathers serve any number of columns; a one-hot table is an identity that doesn't learn.
    Learned vectors begin as N(0, 1 / width).
    """

    def __init__(self, cardinalities: Sequence[int], widths: Sequence[int], seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.cardinalities, self.widths, self.seed = [int(n) for n in cardinalities], [int(w) for w in widths], seed
        if len(self.cardinalities) != len(self.widths) or min(self.cardinalities, default=0) < 1 or min(self.widths) < 0:
            raise ValueError(f"expected as many cardinalities as widths, all positive, got {cardinalities} and {widths}")
        if not any(self.widths):
            raise ValueError("expected a column that isn't left out")

    def _groups(self) -> list[tuple[int, bool, list[int]]]:
        """(width, one-hot?, columns) in the order of the output."""
        kinds = [(w, n == w) for n, w in zip(self.cardinalities, self.widths)]
        return [(w, hot, [i for i, kind in enumerate(kinds) if kind == (w, hot)]) for w, hot in sorted(set(kinds)) if w]

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] != len(self.widths):
            raise ValueError(f"expected {len(self.widths)} columns, got {input_shape[-1]}")
        self._tables, self._columns, self._offsets = [], [], []
        for position, (width, hot, columns) in enumerate(self._groups()):
            sizes = [self.cardinalities[i] for i in columns]
            seed = None if self.seed is None else self.seed + position
            if hot:
                # All columns of the group have the same codes, so one identity serves them.
                rows, offsets = width, np.zeros(len(columns), np.int32)
                initial: Any = keras.initializers.Identity()
            else:
                rows, offsets = sum(sizes), np.r_[0, np.cumsum(sizes[:-1])].astype(np.int32)
                initial = keras.initializers.RandomNormal(stddev=1 / math.sqrt(width), seed=seed)
            kind = "one_hot" if hot else "embeddings"
            self._tables.append(
                self.add_weight(name=f"{kind}_{width}", shape=(rows, width), initializer=initial, trainable=not hot)
            )
            self._columns.append(np.asarray(columns, np.int32))
            self._offsets.append(offsets)
        self.built = True

    def call(self, inputs: Any) -> Any:
        parts = []
        for (width, _, columns), table, index, offset in zip(self._groups(), self._tables, self._columns, self._offsets):
            codes = ops.take(inputs, index, axis=1) if len(columns) < len(self.widths) else inputs
            vectors = ops.take(table, ops.cast(codes, "int32") + offset, axis=0)  # [b, columns, width]
            parts.append(ops.reshape(vectors, (-1, len(columns) * width)))
        return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], sum(self.widths))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cardinalities": self.cardinalities, "widths": self.widths, "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class NumberTokens(keras.layers.Layer):
    """A token for each number: x_i w_i + b_i, [b, d] → [b, d, width] (Gorishniy et al., arXiv:2106.11959). Both begin
    uniform in ±1 / √width."""

    def __init__(self, width: int, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.width, self.seed = width, seed

    def build(self, input_shape: Any) -> None:
        bound, shape = 1 / math.sqrt(self.width), (int(input_shape[-1]), self.width)
        for position, name in enumerate(("weight", "bias")):
            seed = None if self.seed is None else self.seed + position
            initial = keras.initializers.RandomUniform(-bound, bound, seed=seed)
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=initial))
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.expand_dims(inputs, -1) * self.weight + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class CategoryTokens(keras.layers.Layer):
    """A learned token for each code of each column, and a bias for each column: int32 [b, c] → [b, c, width] (Gorishniy et
    al., arXiv:2106.11959). All columns share one table of Σ `cardinalities` rows."""

    def __init__(self, cardinalities: Sequence[int], width: int, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.cardinalities, self.width, self.seed = [int(n) for n in cardinalities], width, seed

    def build(self, input_shape: Any) -> None:
        bound = 1 / math.sqrt(self.width)
        initial = keras.initializers.RandomUniform(-bound, bound, seed=self.seed)
        self.table = self.add_weight(name="embeddings", shape=(sum(self.cardinalities), self.width), initializer=initial)
        self.bias = self.add_weight(name="bias", shape=(len(self.cardinalities), self.width), initializer="zeros")
        self.built = True

    def call(self, inputs: Any) -> Any:
        offsets = np.r_[0, np.cumsum(self.cardinalities[:-1])].astype(np.int32)
        return ops.take(self.table, ops.cast(inputs, "int32") + offsets, axis=0) + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cardinalities": self.cardinalities, "width": self.width, "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class MemberAffine(keras.layers.Layer):
    """Gives each of an ensemble's members its own scale (and bias) of shared features: [b, (members,) f] → [b,
    members, f].

    y_m = s_m ∘ x (+ b_m). Around a shared dense layer this is BatchEnsemble's rank-one weight W ∘ (r_m s_mᵀ) (Wen et
    al., arXiv:2002.06715), at the cost of a vector for each member. Scales start as random signs, which set the
    members apart (`init="signs"`), or at 1 (TabM: only the first adapter is random, Gorishniy et al.,
    arXiv:2410.24210); biases start at 0.
    """

    def __init__(self, members: int, bias: bool = False, init: str = "ones", seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if init not in ("ones", "signs"):
            raise ValueError(f'expected init "ones" or "signs", got {init!r}')
        self.members, self.bias, self.init, self.seed = members, bias, init, seed

    def build(self, input_shape: Any) -> None:
        shape = (self.members, int(input_shape[-1]))
        self.scale = self.add_weight(name="member_scale", shape=shape, initializer=self._initial_scale)
        self.offset = self.add_weight(name="member_bias", shape=shape, initializer="zeros") if self.bias else None
        self.built = True

    def _initial_scale(self, shape: Any, dtype: Any = None) -> Any:
        if self.init == "ones":
            return ops.ones(shape, dtype)
        signs = np.random.default_rng(self.seed).integers(0, 2, tuple(shape)) * 2 - 1
        return ops.convert_to_tensor(signs, dtype)

    def call(self, inputs: Any) -> Any:
        x = ops.expand_dims(inputs, 1) if len(inputs.shape) == 2 else inputs
        x = x * self.scale
        return x if self.offset is None else x + self.offset

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.members, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "members": self.members, "bias": self.bias, "init": self.init, "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class LinearSums(keras.layers.Dense):
    """A dense layer on columns as they are: [b, columns] → [b, units].

    A type of its own so that integer artifacts can leave it float: columns of very different ranges share one scale there,
    and with one layer alone nothing makes up for what is lost.
    """


@keras.saving.register_keras_serializable(PACKAGE)
class MemberColumns(ChannelSlice):
    """The columns `start` to `stop` (exclusive) of the input of an ensemble: [b, columns] → [b, stop − start].

    A type of its own so that integer artifacts can leave it float: members whose columns have other ranges than their
    neighbours', or that encode numbers finely, would else share one scale.

    What is cut out is put together again from its whole part and the rest. TensorFlow Lite's quantiser rounds a plain slice
    even where it is told not to, by the scale of what lies behind the next minimum and maximum (those of boosted trees:
    steps of 100 instead of 1/4096); rounding down has no integer kernel, and keeps it away.
    """

    def call(self, inputs: Any) -> Any:
        columns = super().call(inputs)
        whole = ops.floor(columns)
        return whole + (columns - whole)
