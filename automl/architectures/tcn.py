"""Temporal convolutional networks for texts and series: causal convolutions whose reach doubles from level to level.

Each level is two convolutions over time of `kernel` steps, dilated by 2^level, with a residual branch around them; a step
sees itself and what came before it, never the future (Bai et al., arXiv:1803.01271). L levels see 1 + 2 (kernel − 1)(2^L −
1) steps back; `levels` is lowered to what the input's length can use. The mean over steps goes to the head, or what
`attention-rnn` makes of them.

As far-sighted as a recurrent network and much faster, since all steps are computed at once; converts to every precision.
When pieces repeat at any place (motifs in signals, phrases) it is the first to try; where one early step decides alone,
attention or a cell with memory finds it more directly. Texts enter through an embedding of `width` numbers.
"""

from __future__ import annotations

import math
from typing import Any

from automl.architectures import _sequences
from automl.architectures.builder import Builder
from automl.catalog import Categorical, Int, architecture
from automl.spec import Profile


def levels_within(steps: int, kernel: int, levels: int) -> int:
    """The levels that an input of `steps` can use: one more sees nothing but padding."""
    needed = math.ceil(math.log2(max(steps - 1, 1) / (2 * (kernel - 1)) + 1))
    return max(1, min(levels, needed))


def size(profile: Profile, *, width: int, levels: int, kernel: int) -> int:
    """Trainable parameters; normalisation left out, so each convolution has its bias."""
    total, features = _sequences.entrance_size(profile, width)
    for _ in range(levels_within(profile.length, kernel, levels)):
        total += (kernel * features + 1) * width + (kernel * width + 1) * width
        total += (features + 1) * width if features != width else 0
        features = width
    return total + (features + 1) * profile.outputs


@architecture(
    id="tcn",
    modalities=("text", "series"),
    params={
        "width": Categorical((16, 24, 32, 48, 64, 96, 128), 48),
        "levels": Int(1, 8, 4),
        "kernel": Categorical((2, 3, 5, 7), 3),
    },
    reference="arXiv:1803.01271",
    cost=1.5,
    provides=("residual",),
    uses=("sequence-pooling",),
    size=size,
)
def build(inputs: dict[str, Any], builder: Builder, *, width: int, levels: int, kernel: int) -> Any:
    x, mask = _sequences.entrance(inputs, builder, width)
    levels = levels_within(int(x.shape[1]), kernel, levels)
    for level in range(levels):
        name = f"level_{level + 1}"
        branch = x
        for part in ("a", "b"):
            branch = builder.causal(branch, width, kernel, dilation=2**level, name=f"{name}_{part}")
        if int(x.shape[-1]) != width:
            x = builder.dense(x, width, name=f"{name}_widen", activate=False, use_bias=True)
        x = builder.residual(x, branch, depth=(level + 1) / levels, name=name)
    return builder.drop(_sequences.pooled(x, mask, builder))
