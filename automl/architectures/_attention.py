"""What families with attention share: the blocks of encoders and decoders, stacks of them, and their size in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from automl.architectures.builder import Builder
from automl.catalog import Component

DEFAULT_ATTENTION = Component("automl.techniques.attention.forms:projected", {"heads": 4})


class Block:
    """Attention and a net of two dense layers on each token, both as residual branches (Vaswani et al., arXiv:1706.03762).

    `norm_first` normalises at the entrance of each branch, which trains without care; else behind each sum, as in the
    original. Called several times, it applies the same weights. The normalisation is the plan's, or layer-norm, without
    which attention hardly trains. With `causal` no token sees a later one. With `remembered` tokens of an encoder it is a
    decoder's block: a branch between the two gathers from those by cross attention.
    """

    def __init__(
        self, builder: Builder, *, width: int, steps: int, expansion: int, depth: float, norm_first: bool, name: str,
        causal: bool = False, remembered: int | None = None,
    ):
        layers, plan = builder.layers, builder.plan
        form = plan.attention or DEFAULT_ATTENTION
        self._norm_first = norm_first
        order = {"causal": True} if causal else {}
        self._attend = form.make(builder=builder, width=width, steps=steps, name=f"{name}_attention", **order)
        self._recall = None if remembered is None else form.make(
            builder=builder, width=width, steps=remembered, asking=steps, name=f"{name}_recall"
        )
        branches = 2 if remembered is None else 3
        self._norms = [normalisation(builder, width, name=f"{name}_norm_{i + 1}") for i in range(branches)]
        expand = builder.dense_layer(expansion * width, name=f"{name}_expand")
        act = plan.activation.make(rank=3)
        act.name = f"{name}_act"
        drops = [component.make(rank=3, seed=builder.seed()) for component in plan.dropout]
        project = builder.dense_layer(width, name=f"{name}_project")
        self._net = [expand, act, *(drop for drop in drops if drop is not None), project]
        rate = plan.stochastic_depth * depth
        self._skips: list[Any] = [
            rate and layers.Dropout(rate, noise_shape=(None, 1, 1), seed=builder.seed(), name=f"{name}_drop_path_{i + 1}")
            for i in range(branches)
        ]
        self._sums = [layers.Add(name=f"{name}_add_{i + 1}") for i in range(branches)]

    def __call__(self, x: Any, mask: Any | None, memory: Any | None = None) -> Any:
        """`memory` is (tokens [b, remembered, width], their mask) for a decoder's block, whose own tokens are x."""
        branches: list[Callable[[Any], Any]] = [lambda x: self._attend(x, mask), self._think]
        if self._recall is not None:
            assert memory is not None
            remembered, there = memory
            recall = self._recall
            branches.insert(1, lambda x: recall(remembered, there, x))
        for norm, branch, skip, add in zip(self._norms, branches, self._skips, self._sums, strict=True):
            y = branch(norm(x) if self._norm_first else x)
            x = add([x, skip(y) if skip else y])
            if not self._norm_first:
                x = norm(x)
        return x

    def _think(self, x: Any) -> Any:
        for layer in self._net:
            x = layer(x)
        return x


def normalisation(builder: Builder, width: int, *, name: str, rank: int = 3) -> Any:
    """The plan's normalisation for tokens [b, steps, width] (or in a grid, rank 4), or layer-norm where it has none."""
    layer = builder.plan.norm and builder.plan.norm.make(rank=rank, channels=width)
    layer = layer or builder.layers.LayerNormalization(epsilon=1e-5)
    layer.name = name
    return layer


def encode(
    x: Any, mask: Any | None, builder: Builder, *, depth: int, expansion: int, norm_first: bool = True, shared: bool = False,
    causal: bool = False,
) -> Any:
    """`depth` blocks on tokens [b, steps, width], one block `depth` times where weights are `shared` or the plan halts. With
    `causal` no token sees a later one."""
    steps, width = int(x.shape[1]), int(x.shape[2])
    halting = builder.plan.halting
    shared = shared or halting is not None
    blocks = [
        Block(
            builder, width=width, steps=steps, expansion=expansion, depth=(i + 1) / depth, norm_first=norm_first,
            name=f"block_{i + 1}", causal=causal,
        )
        for i in range(1 if shared else depth)
    ]
    states = []
    for i in range(depth):
        x = blocks[0 if shared else i](x, mask)
        states.append(x)
    if halting is not None:
        x = halting.make(builder=builder, name="halting")(states, mask)
    # The sum of branches grows with depth where nothing normalises it.
    return normalisation(builder, width, name="exit_norm")(x) if norm_first else x


def answers(
    x: Any, mask: Any | None, builder: Builder, *, queries: int, depth: int, expansion: int, norm_first: bool = True,
    shared: bool = False,
) -> Any:
    """What a decoder of `depth` blocks makes of its `queries` learned tokens, which gather from encoded tokens [b, steps,
    width] → [b, queries, width]."""
    from automl.layers import attention

    steps, width = int(x.shape[1]), int(x.shape[2])
    asked = attention.QueryTokens(queries, seed=builder.seed(), name="queries")(x)
    if not norm_first:
        asked = normalisation(builder, width, name="queries_norm")(asked)
    blocks = [
        Block(
            builder, width=width, steps=queries, expansion=expansion, depth=(i + 1) / depth, norm_first=norm_first,
            name=f"answer_{i + 1}", remembered=steps,
        )
        for i in range(1 if shared else depth)
    ]
    for i in range(depth):
        asked = blocks[0 if shared else i](asked, None, (x, mask))
    return normalisation(builder, width, name="answers_norm")(asked) if norm_first else asked


def positioned(x: Any, builder: Builder, *, name: str = "positions") -> Any:
    """Tokens [b, steps, width] marked by their place, as far as the plan marks them at the entrance."""
    positions = builder.plan.positions
    layer = positions and positions.make(
        place="entrance", builder=builder, steps=int(x.shape[1]), width=int(x.shape[2]), name=name
    )
    return layer(x) if layer else x


def blocks_size(width: int, *, depth: int, expansion: int, recall: bool = False) -> int:
    """Trainable parameters of `depth` blocks with projected attention and layer-norm, a decoder's with cross attention where
    they `recall`, and of the last normalisation."""
    attention = 4 * (width * width + width)
    net = 2 * expansion * width * width + expansion * width + width
    return depth * ((1 + recall) * (attention + 2 * width) + net + 2 * width) + 2 * width
