"""Attention in pieces: scores that become weights, weights that gather values, and what tells positions apart.

Queries, keys and values are [b, heads, steps, width of a head], weights [b, heads, steps, steps], masks [b, steps, 1] of
ones and zeros. The pieces stay apart so that dropout of weights is a stock layer between them, and so that each of them
does the same in training and inference. Keras's `MultiHeadAttention` takes neither rotated queries and keys nor patterns of
neighbours, and hides its weights.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

PACKAGE = "automl"
HIDDEN = 30.0
"""Taken off the scores of steps that aren't there: exp(−30) is 1e-13. Not −∞ or 1e9, in whose range eight bits would resolve
nothing."""


@keras.saving.register_keras_serializable(PACKAGE)
class AttentionWeights(keras.layers.Layer):
    """softmax over keys of scale · q kᵀ: [q, k] or [q, k, mask] → [b, heads, queries, keys].

    `scale` None is 1 / √(width of a head): the scores of random queries and keys then have variance 1 (Vaswani et al.,
    arXiv:1706.03762). With `causal` no query sees a key behind its own place.
    """

    def __init__(self, scale: float | None = None, causal: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale, self.causal = scale, causal

    def call(self, inputs: Any) -> Any:
        q, k, *mask = inputs
        scale = 1 / math.sqrt(q.shape[-1]) if self.scale is None else self.scale
        scores = ops.matmul(q * scale, ops.transpose(k, (0, 1, 3, 2)))
        return ops.softmax(_hidden(scores, mask[0] if mask else None, self.causal), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:3], input_shape[1][2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "causal": self.causal}


@keras.saving.register_keras_serializable(PACKAGE)
class AdditiveAttentionWeights(keras.layers.Layer):
    """softmax over keys of v · tanh(q + k), v learned for each head: [q, k] or [q, k, mask] → [b, heads, queries, keys]
    (Bahdanau et al., arXiv:1409.0473, with the projections before it). With `causal` no query sees a key behind its own
    place."""

    def __init__(self, seed: int | None = None, causal: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed, self.causal = seed, causal

    def build(self, input_shape: Any) -> None:
        _, heads, _, width = input_shape[0]
        self.direction = self.add_weight(
            name="direction", shape=(heads, 1, width),
            initializer=keras.initializers.RandomNormal(stddev=1 / math.sqrt(width), seed=self.seed),
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        q, k, *mask = inputs
        _, heads, queries, width = q.shape
        keys = k.shape[2]
        pairs = ops.tanh(ops.expand_dims(q, 3) + ops.expand_dims(k, 2))
        scores = ops.sum(ops.reshape(pairs, (-1, heads, queries * keys, width)) * self.direction, axis=-1)
        scores = ops.reshape(scores, (-1, heads, queries, keys))
        return ops.softmax(_hidden(scores, mask[0] if mask else None, self.causal), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:3], input_shape[1][2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "causal": self.causal}


def _hidden(scores: Any, mask: Any | None, causal: bool) -> Any:
    """Scores [b, heads, queries, keys] with `HIDDEN` taken off at keys that aren't there and, where `causal`, at later ones:
    once in all, so that eight bits have no wider range to resolve."""
    seen = None if mask is None else ops.reshape(mask, (-1, 1, 1, mask.shape[1]))
    if causal:
        past = ops.convert_to_tensor(np.tri(*scores.shape[2:], dtype=np.float32)[None, None], dtype=scores.dtype)
        seen = past if seen is None else seen * past
    return scores if seen is None else scores + HIDDEN * (seen - 1.0)


@keras.saving.register_keras_serializable(PACKAGE)
class Gathered(keras.layers.Layer):
    """The values, weighed: [weights [b, heads, queries, keys], values [b, heads, keys, d]] → [b, heads, queries, d]."""

    def call(self, inputs: Any) -> Any:
        weights, values = inputs
        return ops.matmul(weights, values)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:3], input_shape[1][3])


# --- sparse ------------------------------------------------------------------------------------------


class _Sparse(keras.layers.Layer):
    """What weights and values of sparse attention share: each query sees the `window` steps of its own block, those of the
    blocks before and behind it, and every `stride`-th step of the sequence; 3 · window + ⌈steps / stride⌉ keys in all."""

    def __init__(self, window: int, stride: int, **kwargs: Any):
        super().__init__(**kwargs)
        if window < 1 or stride < 1:
            raise ValueError(f"expected window and stride ≥ 1, got {window} and {stride}")
        self.window, self.stride = window, stride

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "window": self.window, "stride": self.stride}

    def _blocks(self, steps: int) -> int:
        return -(-steps // self.window)

    def _padded(self, x: Any, before: int = 0, behind: int = 0) -> Any:
        """[b, heads, steps, d] filled up to whole blocks, and by whole blocks before and behind."""
        steps = x.shape[2]
        fill = self._blocks(steps) * self.window - steps
        return ops.pad(x, [[0, 0], [0, 0], [before * self.window, fill + behind * self.window], [0, 0]])

    def _keys(self, x: Any) -> Any:
        """The keys (or values) of each block [b, heads · blocks, 3 · window + strided, d]."""
        heads, steps, d = x.shape[1:]
        blocks, w = self._blocks(steps), self.window
        padded = self._padded(x, 1, 1)
        near = [
            ops.reshape(padded[:, :, i * w : (i + blocks) * w], (-1, heads, blocks, w, d)) for i in range(3)
        ]
        far = ops.expand_dims(x[:, :, :: self.stride], 2)
        # Slices side by side rather than a broadcast, which converters lower differently.
        far = ops.concatenate([far] * blocks, axis=2) if blocks > 1 else far
        return ops.reshape(ops.concatenate([*near, far], axis=3), (-1, heads * blocks, 3 * w + far.shape[3], d))


@keras.saving.register_keras_serializable(PACKAGE)
class SparseAttentionWeights(_Sparse):
    """Softmax of q kᵀ / √d over few keys for each query: [q, k] or [q, k, mask] → [b, heads · blocks, window, 3 · window +
    ⌈steps / stride⌉], blocks of one head side by side (local and strided pattern, Child et al., arXiv:1904.10509).

    A strided key that is near anyway counts once. With `causal` no query sees a key behind its own place.
    """

    def __init__(self, window: int, stride: int, causal: bool = False, **kwargs: Any):
        super().__init__(window, stride, **kwargs)
        self.causal = causal

    def call(self, inputs: Any) -> Any:
        q, k, *mask = inputs
        heads, steps, d = q.shape[1:]
        blocks, w = self._blocks(steps), self.window
        queries = ops.reshape(self._padded(q) * (1 / math.sqrt(d)), (-1, heads * blocks, w, d))
        scores = ops.matmul(queries, ops.transpose(self._keys(k), (0, 1, 3, 2)))
        scores = scores + self._pattern(heads, steps)
        if mask:
            there = self._keys(ops.reshape(mask[0], (-1, 1, steps, 1)))  # [b, blocks, keys, 1]
            there = ops.reshape(there, (-1, blocks, 1, there.shape[2]))
            there = ops.concatenate([there] * heads, axis=1) if heads > 1 else there
            scores = scores + HIDDEN * (there - 1.0)
        return ops.softmax(scores, axis=-1)

    def _pattern(self, heads: int, steps: int) -> Any:
        """−`HIDDEN` at keys beyond the ends, at strided ones that are near anyway, and (`causal`) at later ones: [1, heads ·
        blocks, 1 or (`causal`) window, keys]."""
        blocks, w = self._blocks(steps), self.window
        near = (np.arange(blocks)[:, None] - 1) * w + np.arange(3 * w)
        far = np.broadcast_to(np.arange(0, steps, self.stride), (blocks, -(-steps // self.stride)))
        twice = (far >= near[:, :1]) & (far <= near[:, -1:])
        out = np.concatenate([(near < 0) | (near >= steps), twice], axis=1)[:, None]
        if self.causal:
            queries = np.arange(blocks * w).reshape(blocks, w, 1)
            out = out | (np.concatenate([near, far], axis=1)[:, None] > queries)
        hidden = np.tile(out.astype(np.float32) * -HIDDEN, (heads, 1, 1))[None]
        return ops.convert_to_tensor(hidden, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, heads, steps, _ = input_shape[0]
        return (batch, heads * self._blocks(steps), self.window, 3 * self.window + -(-steps // self.stride))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "causal": self.causal}


@keras.saving.register_keras_serializable(PACKAGE)
class SparseGathered(_Sparse):
    """The values, weighed by `SparseAttentionWeights`: [weights, values [b, heads, steps, d]] → [b, heads, steps, d]."""

    def call(self, inputs: Any) -> Any:
        weights, values = inputs
        heads, steps, d = values.shape[1:]
        gathered = ops.matmul(weights, self._keys(values))
        return ops.reshape(gathered, (-1, heads, self._blocks(steps) * self.window, d))[:, :, :steps]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[1]


# --- positions ---------------------------------------------------------------------------------------


def angles(steps: int, pairs: int, base: float = 10_000.0) -> np.ndarray:
    """position · base^(−i / pairs), float32 [steps, pairs]."""
    return (np.arange(steps)[:, None] * base ** (-np.arange(pairs) / pairs)).astype(np.float32)


@keras.saving.register_keras_serializable(PACKAGE)
class SinusoidalPositions(keras.layers.Layer):
    """x + scale · [sin a, cos a] with the angles a of each position: [b, steps, width], width even (Vaswani et al.,
    arXiv:1706.03762). `scale` is learned and begins at `initial`, since tokens begin smaller than the waves."""

    def __init__(self, initial: float = 0.1, **kwargs: Any):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] % 2:
            raise ValueError(f"expected an even width, got {input_shape[-1]}")
        self.scale = self.add_weight(name="scale", shape=(1,), initializer=keras.initializers.Constant(self.initial))
        self.built = True

    def call(self, inputs: Any) -> Any:
        a = angles(inputs.shape[1], inputs.shape[2] // 2)
        waves = ops.convert_to_tensor(np.concatenate([np.sin(a), np.cos(a)], axis=1)[None], dtype=self.compute_dtype)
        return inputs + self.scale * waves

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial}


@keras.saving.register_keras_serializable(PACKAGE)
class LearnedPositions(keras.layers.Layer):
    """x + a learned vector for each position: [b, steps, width]."""

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight(
            name="positions", shape=(1, *input_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=0.02, seed=self.seed),
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs + self.table

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class RotaryPositions(keras.layers.Layer):
    """Turns the halves of queries or keys [b, heads, steps, d] as pairs by each position's angles, so that q kᵀ depends on
    the distance of two positions alone (Su et al., arXiv:2104.09864). d even."""

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] % 2:
            raise ValueError(f"expected heads of even width, got {input_shape[-1]}")
        self.built = True

    def call(self, inputs: Any) -> Any:
        half = inputs.shape[-1] // 2
        a = angles(inputs.shape[2], half)[None, None]
        cos, sin = (ops.convert_to_tensor(f(a), dtype=self.compute_dtype) for f in (np.cos, np.sin))
        x, y = inputs[..., :half], inputs[..., half:]
        return ops.concatenate([x * cos - y * sin, x * sin + y * cos], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


# --- summaries ---------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(PACKAGE)
class StepWeights(keras.layers.Layer):
    """softmax over steps of one score each: scores [b, steps, 1], or [scores, mask] → [b, steps, 1]; zeros where no step
    is."""

    def call(self, inputs: Any) -> Any:
        scores, mask = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        if mask is None:
            return ops.softmax(scores, axis=1)
        return ops.softmax(scores + HIDDEN * (mask - 1.0), axis=1) * mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape


@keras.saving.register_keras_serializable(PACKAGE)
class WeightedSteps(keras.layers.Layer):
    """Σ over steps of weight · x: [x [b, steps, f], weights [b, steps, 1]] → [b, f]."""

    def call(self, inputs: Any) -> Any:
        x, weights = inputs
        return ops.sum(x * weights, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], input_shape[0][2])


@keras.saving.register_keras_serializable(PACKAGE)
class ClassToken(keras.layers.Layer):
    """A learned token before the others: [b, steps, width] → [b, 1 + steps, width] (Devlin et al., arXiv:1810.04805).
    It begins uniform in ±1 / √width, the size of columns' tokens: a smaller one would vanish beside them in 8 bits."""

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        bound = 1 / math.sqrt(input_shape[-1])
        self.token = self.add_weight(
            name="token", shape=(1, 1, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(-bound, bound, seed=self.seed),
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.concatenate([ops.zeros_like(inputs[:, :1]) + self.token, inputs], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[1] + 1, input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class QueryTokens(keras.layers.Layer):
    """`count` learned tokens, the same for each example: any [b, steps, width] → [b, count, width], what a decoder asks with
    (Carion et al., arXiv:2005.12872; Jaegle et al., arXiv:2103.03206). They begin uniform in ±√3, as tokens behind a
    normalisation are: variance 1."""

    def __init__(self, count: int, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if count < 1:
            raise ValueError(f"expected at least 1 query, got {count}")
        self.count, self.seed = count, seed

    def build(self, input_shape: Any) -> None:
        self.tokens = self.add_weight(
            name="tokens", shape=(1, self.count, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(-math.sqrt(3), math.sqrt(3), seed=self.seed),
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        return ops.zeros_like(inputs[:, :1]) + self.tokens

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.count, input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count, "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class FirstToken(keras.layers.Layer):
    """The first token alone: [b, steps, width] → [b, width]."""

    def call(self, inputs: Any) -> Any:
        return inputs[:, 0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[2])


# --- adaptive depth ----------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(PACKAGE)
class HaltingWeights(keras.layers.Layer):
    """How much each repetition's state counts, for each token (Graves, arXiv:1603.08983): [p [b, steps, N]] of halting
    probabilities, or [p, mask] → [b, steps, N], which sum to 1.

    A token halts at the first repetition n at which p₁ + … + p_n ≥ 1 − `threshold` (at N at the latest); p_k counts
    before, the remainder R = 1 − (p₁ + … + p_{n−1}) at n, nothing after. `cost` times the mean of n + R over tokens that
    are there is added to the loss; its gradient is that of R, as in the paper.
    """

    def __init__(self, cost: float = 0.01, threshold: float = 0.01, **kwargs: Any):
        super().__init__(**kwargs)
        self.cost, self.threshold = cost, threshold

    def call(self, inputs: Any) -> Any:
        p, mask = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        weights, ponder = self.weigh(p)
        if self.cost > 0:
            self.add_loss(self.cost * _mean_there(ponder, mask))
        return weights

    def weigh(self, p: Any) -> tuple[Any, Any]:
        """(weights [b, steps, N], ponder n + R [b, steps, 1])."""
        repetitions = int(p.shape[-1])
        total = 0.0 * p[..., :1]
        running = total + 1.0
        weights, count, remainder = [], 0.0 * total, 0.0 * total
        for k in range(repetitions):
            one = p[..., k : k + 1]
            if k + 1 < repetitions:
                stops = running * ops.cast(ops.greater_equal(total + one, 1.0 - self.threshold), p.dtype)
            else:
                stops = running
            goes_on = running - stops
            weights.append(goes_on * one + stops * (1.0 - total))
            count = count + running
            remainder = remainder + stops * (1.0 - total)
            total = total + goes_on * one
            running = goes_on
        return ops.concatenate(weights, axis=-1), count + remainder

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cost": self.cost, "threshold": self.threshold}


def _mean_there(x: Any, mask: Any | None) -> Any:
    """The mean of [b, steps, 1] over steps that are there."""
    return ops.mean(x) if mask is None else ops.sum(x * mask) / ops.maximum(ops.sum(mask), 1.0)


@keras.saving.register_keras_serializable(PACKAGE)
class WeightedStates(keras.layers.Layer):
    """Σ_k weight_k · state_k: [weights [b, steps, N], state_1, …, state_N [b, steps, width]] → [b, steps, width]."""

    def call(self, inputs: Any) -> Any:
        weights, *states = inputs
        total = weights[..., :1] * states[0]
        for k, state in enumerate(states[1:], 1):
            total = total + weights[..., k : k + 1] * state
        return total

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[1]
