"""Forms of attention: what a token's weights for the others are made of, and how many others it sees.

All end in a dense layer on what was gathered. Where a form has queries, keys and values, each is a dense layer of its own on
the tokens, split into heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from automl.catalog import Categorical, Component, TrainPlan, technique
from automl.spec import Modality, Profile

HEADS = {"heads": Categorical((2, 4, 8), 4)}
MOST_PAIRS = 256
"""Tokens up to which additive attention is offered: it holds a vector for each pair."""
PAIR_WIDTH = 16
"""Numbers of such a vector."""


@technique(
    id="multi-head-attention", stage="attention", slot="attention", params=HEADS, default=True,
    reference="arXiv:1706.03762",
)
def multi_head_attention(plan: TrainPlan, *, heads: int) -> TrainPlan:
    """Multi-head attention: several attentions side by side, each in a part of the width.

    What it changes: queries, keys and values are split into `heads` parts, each with weights of its own. Why it may help:
    one head can look at the neighbour, another at the subject of the sentence; one softmax alone has to average. The usual
    form. When it hurts: narrow networks, whose heads become too thin to tell keys apart (under some 8 numbers each). How:
    for each head h: softmax(Q_h K_hᵀ / √d_h) V_h, side by side, times W_o.
    """
    return plan.replace(attention=Component(f"{__name__}:projected", {"heads": heads}))


@technique(
    id="self-attention", stage="attention", slot="attention", cost=0.9, reference="arXiv:1703.03130; arXiv:1706.03762",
)
def self_attention(plan: TrainPlan) -> TrainPlan:
    """Self-attention with one head: each token asks all others, in one place.

    What it changes: queries, keys and values are learned projections of the tokens, compared over the whole width at once.
    Why it may help: on short inputs and narrow networks one full head beats several thin ones, and it costs less time.
    When it hurts: where a token must gather from several places for different reasons. How: softmax(Q Kᵀ / √d) V W_o with
    Q, K, V = x W_q + b_q, ….
    """
    return plan.replace(attention=Component(f"{__name__}:projected", {"heads": 1}))


@technique(
    id="dot-product-attention", stage="attention", slot="attention", cost=0.8,
    reference="arXiv:1508.04025; arXiv:1706.03762",
)
def dot_product_attention(plan: TrainPlan) -> TrainPlan:
    """Dot-product attention without projections: tokens gather from those that are like them.

    What it changes: the tokens themselves are queries, keys and values; nothing but the exit is learned. Why it may help:
    a quarter of the attention's weights, hence less to overfit on small data; embeddings learn to be alike where that
    helps. When it hurts: likeness is symmetric: "an adjective looks for its noun" can't be said. How: softmax(x xᵀ / √d) x
    W_o (Luong's "dot" score, scaled).
    """
    return plan.replace(attention=Component(f"{__name__}:unprojected"))


def _few_pairs(profile: Profile) -> str | None:
    if profile.length <= MOST_PAIRS:
        return None
    return f"holds a vector for each pair of tokens, so at most {MOST_PAIRS} tokens; there are {profile.length}"


@technique(
    id="additive-attention", stage="attention", slot="attention",
    modalities=(Modality.TEXT, Modality.SERIES, Modality.TABLE),
    cost=3.0, when=_few_pairs, reference="arXiv:1409.0473",
)
def additive_attention(plan: TrainPlan) -> TrainPlan:
    """Additive attention: a small network scores each pair of query and key.

    What it changes: scores are v · tanh(q + k) instead of a product. Why it may help: bounded scores, which begin and stay
    smooth; the form that first taught translation to align. When it hurts: a vector for each pair of tokens in memory, and
    no fast matrix product: several times slower on long inputs. How: q = x W_q, k = x W_k + b (16 numbers each), softmax_j
    (v · tanh(q_i + k_j)) V W_o, one head.
    """
    return plan.replace(attention=Component(f"{__name__}:additive"))


def _long(profile: Profile) -> str | None:
    if profile.length >= 64:
        return None
    return f"pays on long inputs: at least 64 steps; there are {profile.length}"


@technique(
    id="sparse-attention", stage="attention", slot="attention", modalities=(Modality.TEXT, Modality.SERIES),
    params={**HEADS, "window": Categorical((8, 16, 32), 16)}, when=_long, cost=0.8, reference="arXiv:1904.10509",
)
def sparse_attention(plan: TrainPlan, *, heads: int, window: int) -> TrainPlan:
    """Sparse attention: each token sees its neighbourhood and every so-manieth step.

    What it changes: of all pairs only those within blocks of `window` steps and the blocks beside them are scored, and
    those with every s-th step, s the larger of `window` and √steps. Why it may help: n · (3 w + n / s) scores instead of
    n²: long inputs in time and memory that grow as n √n. When it hurts: short inputs, where everything is near anyway; a
    distant detail between the strided steps is reached over two layers only. How: multi-head attention whose softmax runs
    over these keys alone.
    """
    return plan.replace(attention=Component(f"{__name__}:sparse", {"heads": heads, "window": window}))


# --- graphs ------------------------------------------------------------------------------------------


def projected(*, heads: int, builder: Any, width: int, steps: int, name: str) -> Callable[[Any, Any], Any]:
    from automl.layers import attention

    weights = attention.AttentionWeights(name=f"{name}_weights")
    return _Form(builder, width, steps, name, heads, weights, attention.Gathered(name=f"{name}_gathered"))


def sparse(*, heads: int, window: int, builder: Any, width: int, steps: int, name: str) -> Callable[[Any, Any], Any]:
    from automl.layers import attention

    stride = max(window, math.isqrt(steps - 1) + 1)
    weights = attention.SparseAttentionWeights(window, stride, name=f"{name}_weights")
    gathered = attention.SparseGathered(window, stride, name=f"{name}_gathered")
    return _Form(builder, width, steps, name, heads, weights, gathered)


def additive(*, builder: Any, width: int, steps: int, name: str) -> Callable[[Any, Any], Any]:
    from automl.layers import attention

    weights = attention.AdditiveAttentionWeights(seed=builder.seed(), name=f"{name}_weights")
    return _Form(builder, width, steps, name, 1, weights, attention.Gathered(name=f"{name}_gathered"), PAIR_WIDTH)


def unprojected(*, builder: Any, width: int, steps: int, name: str) -> Callable[[Any, Any], Any]:
    from automl.layers import attention

    weights = attention.AttentionWeights(name=f"{name}_weights")
    return _Form(builder, width, steps, name, 1, weights, attention.Gathered(name=f"{name}_gathered"), project=False)


class _Form:
    """Tokens → heads of queries, keys and values → weights → gathered values → exit; the same layers at each call."""

    def __init__(
        self, builder: Any, width: int, steps: int, name: str, heads: int, weights: Any, gathered: Any,
        key_width: int | None = None, project: bool = True,
    ):
        if width % heads:
            raise ValueError(f"{heads} heads don't divide a width of {width}")
        layers, plan = builder.layers, builder.plan
        key_width = key_width or width
        self._weights, self._gathered = weights, gathered
        self._project = {
            part: builder.dense_layer(size, name=f"{name}_{part}")
            for part, size in (("query", key_width), ("key", key_width), ("value", width))
        } if project else {}
        self._split = {
            part: (
                layers.Reshape((steps, heads, size // heads), name=f"{name}_{part}_split"),
                layers.Permute((2, 1, 3), name=f"{name}_{part}_heads"),
            )
            for part, size in (("query", key_width), ("key", key_width), ("value", width))
        }
        self._turn = plan.positions and plan.positions.make(
            place="heads", builder=builder, steps=steps, width=key_width // heads, name=f"{name}_positions"
        )
        self._drop = plan.attention_dropout and layers.Dropout(
            plan.attention_dropout, seed=builder.seed(), name=f"{name}_dropout"
        )
        self._join = (layers.Permute((2, 1, 3), name=f"{name}_steps"), layers.Reshape((steps, width), name=f"{name}_join"))
        self._exit = builder.dense_layer(width, name=f"{name}_exit")

    def __call__(self, x: Any, mask: Any | None) -> Any:
        q, k, v = (self._part(x, part) for part in ("query", "key", "value"))
        if self._turn:
            q, k = self._turn(q), self._turn(k)
        weights = self._weights([q, k] if mask is None else [q, k, mask])
        if self._drop:
            weights = self._drop(weights)
        y = self._gathered([weights, v])
        for layer in (*self._join, self._exit):
            y = layer(y)
        return y

    def _part(self, x: Any, part: str) -> Any:
        if part in self._project:
            x = self._project[part](x)
        for layer in self._split[part]:
            x = layer(x)
        return x
