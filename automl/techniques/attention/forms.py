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

MOST_TOKENS = 256
"""Tokens that families compare with each other; they join those of longer inputs. The scores of 1,024 would take 2 GB for a
batch of 128."""
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
    params={**HEADS, "window": Categorical((8, 16, 32), 16)}, when=_long, cost=2.0, reference="arXiv:1904.10509",
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


def projected(*, heads: int, name: str, causal: bool = False, **place: Any) -> Callable[..., Any]:
    from automl.layers import attention

    weights = attention.AttentionWeights(causal=causal, name=f"{name}_weights")
    return _Form(weights, attention.Gathered(name=f"{name}_gathered"), heads=heads, name=name, **place)


def sparse(
    *, heads: int, window: int, steps: int, name: str, causal: bool = False, asking: int | None = None, **place: Any
) -> Callable[..., Any]:
    from automl.layers import attention

    if asking is not None:  # A handful of queries sees all keys at no cost, and stands at no place that would be near some.
        return projected(heads=heads, steps=steps, name=name, asking=asking, **place)
    stride = max(window, math.isqrt(steps - 1) + 1)
    weights = attention.SparseAttentionWeights(window, stride, causal, name=f"{name}_weights")
    gathered = attention.SparseGathered(window, stride, name=f"{name}_gathered")
    return _Form(weights, gathered, heads=heads, steps=steps, name=name, **place)


def additive(*, builder: Any, name: str, causal: bool = False, **place: Any) -> Callable[..., Any]:
    from automl.layers import attention

    weights = attention.AdditiveAttentionWeights(seed=builder.seed(), causal=causal, name=f"{name}_weights")
    gathered = attention.Gathered(name=f"{name}_gathered")
    return _Form(weights, gathered, heads=1, builder=builder, name=name, key_width=PAIR_WIDTH, **place)


def unprojected(*, name: str, causal: bool = False, **place: Any) -> Callable[..., Any]:
    from automl.layers import attention

    weights = attention.AttentionWeights(causal=causal, name=f"{name}_weights")
    return _Form(weights, attention.Gathered(name=f"{name}_gathered"), heads=1, name=name, project=False, **place)


class _Form:
    """Tokens → heads of queries, keys and values → weights → gathered values → exit; the same layers at each call."""

    def __init__(
        self, weights: Any, gathered: Any, *, heads: int, builder: Any, width: int, steps: int, name: str,
        asking: int | None = None, key_width: int | None = None, project: bool = True,
    ):
        if width % heads:
            raise ValueError(f"{heads} heads don't divide a width of {width}")
        layers, plan = builder.layers, builder.plan
        key_width = key_width or width
        queries = steps if asking is None else asking
        self._weights, self._gathered = weights, gathered
        parts = (("query", key_width, queries), ("key", key_width, steps), ("value", width, steps))
        self._project = {
            part: builder.dense_layer(size, name=f"{name}_{part}") for part, size, _ in parts
        } if project else {}
        self._split = {
            part: (
                layers.Reshape((count, heads, size // heads), name=f"{name}_{part}_split"),
                layers.Permute((2, 1, 3), name=f"{name}_{part}_heads"),
            )
            for part, size, count in parts
        }
        # Between two sequences no distance has a meaning.
        self._turn = asking is None and plan.positions and plan.positions.make(
            place="heads", builder=builder, steps=steps, width=key_width // heads, name=f"{name}_positions"
        )
        self._drop = plan.attention_dropout and layers.Dropout(
            plan.attention_dropout, seed=builder.seed(), name=f"{name}_dropout"
        )
        self._join = (
            layers.Permute((2, 1, 3), name=f"{name}_steps"), layers.Reshape((queries, width), name=f"{name}_join"),
        )
        self._exit = builder.dense_layer(width, name=f"{name}_exit")

    def __call__(self, x: Any, mask: Any | None, asking: Any | None = None) -> Any:
        q, k, v = (self._part(tokens, part) for tokens, part in ((x if asking is None else asking, "query"),
                                                                 (x, "key"), (x, "value")))
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
